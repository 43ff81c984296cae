// Judges a bundle as OperatorHub does: every validator of operator-framework/api that applies to a bundle, its
// default ones and those of the suite operatorframework; and as scorecard's own tests do (builtin.go). Any error and any
// warning is a failure. Reads the folder it is given, and touches nothing.
package main

import (
	"fmt"
	"os"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: validate BUNDLE_FOLDER")
		os.Exit(2)
	}
	findings, err := judge(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "validate:", err)
		os.Exit(1)
	}
	for _, finding := range findings {
		fmt.Fprintln(os.Stderr, finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// judge returns all that the validators find, in the order in which they find it.
func judge(folder string) ([]error, error) {
	bundle, err := manifests.GetBundleFromDir(folder)
	if err != nil {
		return nil, err
	}
	validators := validation.DefaultBundleValidators.WithValidators(
		validation.OperatorHubV2Validator,
		validation.StandardCapabilitiesValidator,
		validation.StandardCategoriesValidator,
		validation.ObjectValidator,
		validation.GoodPracticesValidator,
		validation.AlphaDeprecatedAPIsValidator,
	)
	var findings []error
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, finding := range append(result.Errors, result.Warnings...) {
			findings = append(findings, finding)
		}
	}
	return append(findings, builtin(folder, bundle)...), nil
}
