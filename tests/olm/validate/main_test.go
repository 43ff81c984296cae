// The judge finds what is wrong: each case breaks one thing in the repository's own bundle.
package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const csv = "manifests/fairway.clusterserviceversion.yaml"

func TestMistakesAreFound(t *testing.T) {
	for name, mistake := range map[string]struct{ file, from, to, expected string }{
		"a level that there is not": {csv, "capabilities: Seamless Upgrades", "capabilities: Flying", "capabilities"},
		"a category of our own":     {csv, "categories: Networking", "categories: Boats", "categories"},
		"no requests":               {csv, "requests:\n                    cpu: 50m", "other:\n                    cpu: 50m", "resource requests"},
		"no version of Kubernetes":  {csv, `minKubeVersion: "1.31.0"`, "minKubeVersion: soon", "MinKubeVersion"},
		"a channel of our own":      {"metadata/annotations.yaml", "candidate-v1", "today", "today"},
		"no example":                {csv, `"kind": "LoadBalancerClass"`, `"kind": "Other"`, "example"},
		"no resources":              {csv, "      resources:\n      - kind: LoadBalancer\n", "      others:\n      - kind: LoadBalancer\n", "olm-crds-have-resources"},
		"an example without spec":   {csv, `"spec": {`, `"settings": {`, "basic-check-spec"},
		"an unknown field":          {csv, `"replicas": 2`, `"copies": 2`, "olm-crds-have-validation: LoadBalancerClass has no field spec.copies"},
		"no descriptor of spec":     {csv, "path: listeners", "path: ports", "olm-spec-descriptors: LoadBalancer has none for spec.listeners"},
		"no descriptor of status":   {csv, "path: operatingStatus", "path: state", "olm-status-descriptors: LoadBalancer has none for status.operatingStatus"},
		"an example without status": {csv, `"status": {`, `"state": {`, "olm-status-descriptors: the example of LoadBalancer has no status"},
		"no config of scorecard":    {"metadata/annotations.yaml", "tests/scorecard/", "tests/", "olm-bundle-validation"},
		"another media type":        {"metadata/annotations.yaml", "registry+v1", "plain+v0", "olm-bundle-validation"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.CopyFS(folder, os.DirFS("../../../bundle")); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, mistake.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			broken := strings.Replace(string(text), mistake.from, mistake.to, 1)
			if broken == string(text) {
				t.Fatalf("%s has no %q", mistake.file, mistake.from)
			}
			if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
			findings, err := judge(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range findings {
				if strings.Contains(finding.Error(), mistake.expected) {
					return
				}
			}
			t.Fatalf("found %v, and nothing of %q", findings, mistake.expected)
		})
	}
}
