package rules

import (
	"fmt"
	"slices"

	"signpost/internal/model"
)

// PrincipalNames reads people and groups, without those given twice. Errors are of kind
// Invalid and name the field.
func PrincipalNames(field string, texts []string) ([]model.PrincipalName, error) {
	var out []model.PrincipalName
	for i, text := range texts {
		n, err := model.ParsePrincipalName(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// PersonName reads the name of a person. Errors are of kind Invalid and name the field.
func PersonName(field, text string) (model.PrincipalName, error) {
	n, err := model.ParsePrincipalName(field, text)
	if err == nil && n.IsGroup() {
		err = model.E(model.Invalid, "read name of a person", text).In(field).Because("it is a group").Hint("write ISSUER/SUBJECT")
	}
	return n, err
}
