// What scorecard's own tests ask of a bundle (operator-sdk v1.42.3, internal/scorecard/tests), whose image can't be had
// here. The rules are the same or stricter: what is a suggestion there is a finding here.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/yaml"
)

// What must stand in metadata/annotations.yaml; an empty value is any.
var annotations = map[string]string{
	"operators.operatorframework.io.bundle.mediatype.v1":       "registry+v1",
	"operators.operatorframework.io.bundle.manifests.v1":       "manifests/",
	"operators.operatorframework.io.bundle.metadata.v1":        "metadata/",
	"operators.operatorframework.io.bundle.package.v1":         "",
	"operators.operatorframework.io.bundle.channels.v1":        "",
	"operators.operatorframework.io.bundle.channel.default.v1": "",
	"operators.operatorframework.io.test.mediatype.v1":         "scorecard+v1",
	"operators.operatorframework.io.test.config.v1":            "tests/scorecard/",
}

type example struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Spec       map[string]any `json:"spec"`
	Status     map[string]any `json:"status"`
}

// builtin returns all that the tests would find.
func builtin(folder string, bundle *manifests.Bundle) []error {
	findings := bundleFormat(folder)
	var examples []example
	if err := json.Unmarshal([]byte(bundle.CSV.GetAnnotations()["alm-examples"]), &examples); err != nil {
		return append(findings, fmt.Errorf("alm-examples: %w", err))
	}
	for _, owned := range bundle.CSV.Spec.CustomResourceDefinitions.Owned {
		if len(owned.Resources) == 0 {
			findings = append(findings, fmt.Errorf("olm-crds-have-resources: %s has none", owned.Kind))
		}
	}
	for _, example := range examples {
		if len(example.Spec) == 0 {
			findings = append(findings, fmt.Errorf("basic-check-spec: the example of %s has no spec", example.Kind))
		}
		findings = append(findings, knownFields(bundle, example)...)
		findings = append(findings, descriptors(bundle, example)...)
	}
	return findings
}

// bundleFormat is the half of olm-bundle-validation that no validator of operator-framework/api has.
func bundleFormat(folder string) []error {
	var findings []error
	finding := func(format string, arguments ...any) {
		findings = append(findings, fmt.Errorf("olm-bundle-validation: "+format, arguments...))
	}
	text, err := os.ReadFile(filepath.Join(folder, "metadata/annotations.yaml"))
	if err != nil {
		return []error{err}
	}
	var metadata struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := yaml.Unmarshal(text, &metadata); err != nil {
		return []error{err}
	}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		value := metadata.Annotations[name]
		if wanted := annotations[name]; value == "" || wanted != "" && value != wanted {
			finding("annotation %s is %q and must be %q", name, value, wanted)
		}
	}
	config := filepath.Join(metadata.Annotations["operators.operatorframework.io.test.config.v1"], "config.yaml")
	for _, path := range []string{"manifests", config} {
		if _, err := os.Stat(filepath.Join(folder, path)); err != nil {
			finding("%v", err)
		}
	}
	return findings
}

// knownFields finds keys of an example that its CRD does not know.
func knownFields(bundle *manifests.Bundle, example example) []error {
	var findings []error
	finding := func(format string, arguments ...any) {
		findings = append(findings, fmt.Errorf("olm-crds-have-validation: "+format, arguments...))
	}
	found := false
	for _, crd := range bundle.V1CRDs {
		for _, version := range crd.Spec.Versions {
			if crd.Spec.Names.Kind != example.Kind || crd.Spec.Group+"/"+version.Name != example.APIVersion {
				continue
			}
			found = true
			if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
				finding("%s has no schema", example.Kind)
				continue
			}
			properties := version.Schema.OpenAPIV3Schema.Properties
			for part, keys := range map[string]map[string]any{"spec": example.Spec, "status": example.Status} {
				for _, key := range slices.Sorted(maps.Keys(keys)) {
					if _, known := properties[part].Properties[key]; !known {
						finding("%s has no field %s.%s", example.Kind, part, key)
					}
				}
			}
			if _, tells := properties["status"]; tells && len(example.Status) == 0 {
				findings = append(findings, fmt.Errorf("olm-status-descriptors: the example of %s has no status", example.Kind))
			}
		}
	}
	if !found {
		finding("no CRD is of %s, %s", example.APIVersion, example.Kind)
	}
	return findings
}

// descriptors finds keys of an example that no descriptor explains.
func descriptors(bundle *manifests.Bundle, example example) []error {
	_, version, _ := strings.Cut(example.APIVersion, "/")
	for _, owned := range bundle.CSV.Spec.CustomResourceDefinitions.Owned {
		if owned.Kind != example.Kind || owned.Version != version {
			continue
		}
		spec := func(one v1alpha1.SpecDescriptor) string { return one.Path }
		status := func(one v1alpha1.StatusDescriptor) string { return one.Path }
		findings := unexplained("spec", example.Kind, example.Spec, paths(owned.SpecDescriptors, spec))
		return append(findings, unexplained("status", example.Kind, example.Status, paths(owned.StatusDescriptors, status))...)
	}
	return []error{fmt.Errorf("olm-spec-descriptors: %s, %s is not owned", example.APIVersion, example.Kind)}
}

func paths[D any](descriptors []D, path func(D) string) []string {
	var found []string
	for _, descriptor := range descriptors {
		found = append(found, path(descriptor))
	}
	return found
}

func unexplained(part, kind string, keys map[string]any, paths []string) []error {
	var findings []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(paths, key) {
			findings = append(findings, fmt.Errorf("olm-%s-descriptors: %s has none for %s.%s", part, kind, part, key))
		}
	}
	return findings
}
