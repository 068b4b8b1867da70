package control

import (
	"crypto/x509"
	"os"
	"strings"
	"time"

	"signpost/controlapi"
	"signpost/internal/acme"
	"signpost/internal/model"
)

// checkACME says what is wrong with the settings of the certificate authority, but for what
// is in files.
func (c Config) checkACME() []error {
	var problems []error
	bad := func(what, why, hint string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why).Hint(hint))
	}
	if c.ACMEDirectory == "" {
		for what, given := range map[string]bool{
			"acme-contact": len(c.ACMEContact) > 0, "acme-eab-key-id": c.ACMEEABKeyID != "", "acme-eab-hmac-file": c.ACMEEABFile != "", "acme-ca-file": c.ACMECA != "",
		} {
			if given {
				bad(what, "there is no certificate authority that it is for", "give acme-directory, too")
			}
		}
		return problems
	}
	if (c.ACMEEABKeyID == "") != (c.ACMEEABFile == "") {
		bad("acme-eab-key-id", "it goes together with acme-eab-hmac-file", "")
	}
	if c.ACMEZoneLimit < 1 {
		bad("acme-zone-limit", "it is less than 1", "")
	}
	return append(problems, settingErrors(acme.Config{Directory: c.ACMEDirectory, Contact: c.ACMEContact}.Validate())...)
}

// settingErrors is errors of fields of an authority's as those of our settings.
func settingErrors(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	names := map[string]string{"directory": "acme-directory", "contact": "acme-contact", "eab": "acme-eab-hmac-file"}
	var out []error
	for _, one := range several.Unwrap() {
		if e, ok := one.(*model.Error); ok { //nolint:errorlint // Validate makes these itself
			one = model.E(e.Kind, "read setting", names[e.Field]).Because(e.Reason).Hint(e.Advice)
		}
		out = append(out, one)
	}
	return out
}

// authority is whom certificates are ordered from; nil: nobody. Errors are of kind Invalid.
func (c Config) authority(now func() time.Time) (*controlapi.Authority, error) {
	if c.ACMEDirectory == "" {
		return nil, nil
	}
	at := acme.Config{Directory: c.ACMEDirectory, Contact: c.ACMEContact, Now: now}
	if c.ACMECA != "" {
		pem, err := os.ReadFile(c.ACMECA)
		if err != nil {
			return nil, model.E(model.Invalid, "read setting", "acme-ca-file").From(err)
		}
		if at.Roots = x509.NewCertPool(); !at.Roots.AppendCertsFromPEM(pem) {
			return nil, model.E(model.Invalid, "read setting", "acme-ca-file").Because(c.ACMECA + " has no certificate in PEM")
		}
	}
	if c.ACMEEABFile != "" {
		key, err := os.ReadFile(c.ACMEEABFile)
		if err != nil {
			return nil, model.E(model.Invalid, "read setting", "acme-eab-hmac-file").From(err)
		}
		at.EAB = &acme.EAB{KeyID: c.ACMEEABKeyID, HMAC: strings.TrimSpace(string(key))}
	}
	if wrong := settingErrors(at.Validate()); len(wrong) > 0 {
		return nil, wrong[0]
	}
	return &controlapi.Authority{ACME: acme.New(at), Directory: c.ACMEDirectory, ZoneLimit: c.ACMEZoneLimit}, nil
}
