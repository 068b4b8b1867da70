package access

import (
	"net/netip"
	"time"

	"signpost/internal/model"
)

// Kind is a kind of principal.
type Kind int

// The kinds of principal.
const (
	Nobody         Kind = iota // no credential was shown
	Admin                      // the holder of an admin token
	HostSecret                 // the holder of one host's secret
	User                       // a person whom an identity provider vouches for
	EndpointSecret             // the holder of one endpoint's secret
	kinds
)

var kindNames = [kinds]string{"nobody", "admin", "host", "user", "endpoint"}

// String is the kind as the API calls it.
func (k Kind) String() string { return kindNames[k] }

// Principal is who is asking. The zero Principal is nobody.
type Principal struct {
	Kind  Kind
	Token string     // Admin: the token's public id
	Host  model.Name // HostSecret: whose secret it is; EndpointSecret: whose endpoint's
	ID    string     // EndpointSecret: the endpoint's

	Person model.PrincipalName   // User: who it is
	Groups []model.PrincipalName // User: the groups that the provider says they are in, in order
	// Operator is whether the configuration makes the person one, or a group of theirs.
	Operator bool
	// Expires is when the token ends that vouches for the person; zero: it does not.
	Expires time.Time
	// Narrow is what the person's API token leaves of their rights; nil: they came
	// themselves. HostSecret, EndpointSecret: from where the token that made the secret is
	// used; nil: no token did.
	Narrow *Narrow

	From netip.Addr // where the call comes from; the zero Addr: it is not known
}

// Leeway is how far the clocks of those who make tokens and ours may differ.
const Leeway = time.Minute

// Ended says that what the principal showed is over. Errors: that of Expired, when it
// was over more than Leeway ago.
func (p Principal) Ended(now time.Time) error {
	if p.Expires.IsZero() || now.Before(p.Expires.Add(Leeway)) {
		return nil
	}
	return Expired()
}

// Same reports whether two principals are the same one with the same credential, whatever
// groups they are in now, and until whenever.
func (p Principal) Same(o Principal) bool {
	return p.Kind == o.Kind && p.Token == o.Token && p.Host == o.Host && p.ID == o.ID && p.Person == o.Person && p.Narrow.token() == o.Narrow.token()
}

// String is the principal as it is written in audit records: "admin/TOKEN-ID",
// "host/FQDN", "endpoint/FQDN/ID", "ISSUER/SUBJECT", "token/ID of ISSUER/SUBJECT" or "nobody".
func (p Principal) String() string {
	if p.Kind == User && p.Narrow != nil {
		return "token/" + p.Narrow.Token + " of " + string(p.Person)
	}
	return p.Name()
}

// Name is the principal as the owner of things: a token's is its owner.
func (p Principal) Name() string {
	switch p.Kind {
	case Admin:
		return "admin/" + p.Token
	case HostSecret:
		return "host/" + p.Host.Text()
	case EndpointSecret:
		return "endpoint/" + p.Host.Text() + "/" + p.ID
	case User:
		return string(p.Person)
	}
	return "nobody"
}
