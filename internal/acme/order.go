package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	acmez "github.com/mholt/acmez/v3/acme"

	"signpost/internal/model"
)

// Challenge is one value that a TXT record set must hold for the authority to believe that
// a name is ours (RFC 8555 section 8.4).
type Challenge struct {
	Name  model.Name // _acme-challenge.<host>, the same for the host and its wildcard
	Value string     // 43 characters of base64url
}

// Solver puts challenges into DNS and takes them away.
type Solver interface {
	// Present sets all values, beside what the record sets hold already, and returns when
	// every name server answers them, or an error, which ends the order before the authority
	// has been told anything. It is called at most once per order.
	Present(ctx context.Context, values []Challenge) error
	// CleanUp takes the values away. It is called once after every Present, whatever became
	// of it and of the order, with a context of its own that ends after 30 seconds and not
	// with the order's. The order waits for it: it must not wait for name servers.
	CleanUp(ctx context.Context, values []Challenge) error
}

// Issued is a certificate.
type Issued struct {
	Chain               []byte // PEM, the leaf first; at most 64 KiB
	NotBefore, NotAfter time.Time
	Renewal             Window // zero: the authority does not say, or not now
	CertID              string // by which the authority knows it (RFC 9773 section 4.1); may be empty
	CleanUp             error  // what CleanUp said; the certificate is good all the same
}

// Obtain orders the certificate that req asks for and proves its names, which must be one
// host, its wildcard or both, and should have passed CheckRequest. Names that the authority
// still holds for proven are not proven again; if that is all of them, the solver is not
// called. It takes at most 5 minutes. Errors are of kind Invalid for a request without such
// names, the solver's own, the context's, or a *Failure; CleanUp's is joined to them.
func (a *Authority) Obtain(ctx context.Context, account Account, req *x509.CertificateRequest, solver Solver) (Issued, error) {
	return a.Renew(ctx, account, req, solver, "")
}

// Renew is Obtain for a certificate that takes the place of another, known by its CertID:
// authorities that are told so (RFC 9773 section 5) count it for less. One that will not
// hear of it is asked again without.
func (a *Authority) Renew(ctx context.Context, account Account, req *x509.CertificateRequest, solver Solver, certID string) (Issued, error) {
	const op = "order certificate"
	host, names, err := namesOf(req)
	if err != nil {
		return Issued{}, err
	}
	within, cancel := context.WithTimeout(ctx, a.orderTime)
	defer cancel()
	o := &ordering{session: a.session(), account: account.acmez(), host: host, names: names}

	if err := o.place(within, certID); err != nil {
		return Issued{}, o.failed(ctx, op, err)
	}
	cleanUp, err := o.prove(ctx, within, solver)
	if err != nil {
		return Issued{}, errors.Join(err, cleanUp)
	}
	issued, err := o.finish(within, req)
	if err != nil {
		return Issued{}, errors.Join(o.failed(ctx, op, err), cleanUp)
	}
	issued.CleanUp = cleanUp
	return issued, nil
}

// namesOf is what a request asks for: one host, and the names to order.
func namesOf(req *x509.CertificateRequest) (host model.Name, names []string, err error) {
	bad := func() (model.Name, []string, error) {
		return "", nil, model.E(model.Invalid, "order certificate", "").In("csr").Because("it does not ask for one host, with or without its wildcard")
	}
	names, ok := alternatives(req)
	if !ok {
		return bad()
	}
	if cn := strings.ToLower(req.Subject.CommonName); cn != "" {
		names = append(names, cn)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, n := range names {
		h, err := model.ParseHostName("csr", strings.TrimPrefix(n, "*."))
		if err != nil || host != "" && h != host {
			return bad()
		}
		host = h
	}
	if host == "" {
		return bad()
	}
	return host, names, nil
}

// ordering is one order on its way.
type ordering struct {
	*session
	account acmez.Account
	host    model.Name
	names   []string
	order   acmez.Order
}

func (o *ordering) place(ctx context.Context, certID string) error {
	want := acmez.Order{}
	for _, n := range o.names {
		want.Identifiers = append(want.Identifiers, acmez.Identifier{Type: "dns", Value: n})
	}
	if certID != "" {
		if dir, err := o.client.GetDirectory(ctx); err == nil && dir.RenewalInfo != "" {
			want.Replaces = certID
		}
	}
	var err error
	o.order, err = o.client.NewOrder(ctx, o.account, want)
	if p, ok := problemIn(err); ok && want.Replaces != "" && whyOf(p, false) != Limited {
		// Replaced already, or not known, or it fails over the question: what follows a
		// certificate is ours to say, not a reason to go without one.
		want.Replaces = ""
		o.order, err = o.client.NewOrder(ctx, o.account, want)
	}
	return err
}

// proof is an authorization that is to be proven, and how.
type proof struct {
	authz     acmez.Authorization
	challenge acmez.Challenge
}

// prove proves what is not proven yet. caller is the context of who ordered, ctx the one
// that ends with the order's time.
func (o *ordering) prove(caller, ctx context.Context, solver Solver) (cleanUp, err error) {
	const op = "prove " // and which name
	proofs, values, err := o.toProve(ctx)
	if err != nil {
		return nil, o.failed(caller, op+o.host.Text(), err)
	}
	if len(proofs) == 0 {
		return nil, nil
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(caller), cleanUpTime)
		defer cancel()
		cleanUp = solver.CleanUp(after, values)
	}()
	if err := solver.Present(ctx, values); err != nil {
		return nil, err
	}
	for _, p := range proofs {
		if _, err := o.client.InitiateChallenge(ctx, o.account, p.challenge); err != nil {
			return nil, o.failed(caller, op+p.authz.IdentifierValue(), err)
		}
	}
	for _, p := range proofs {
		if _, err := o.client.PollAuthorization(ctx, o.account, p.authz); err != nil {
			return nil, o.failed(caller, op+p.authz.IdentifierValue(), err)
		}
	}
	return nil, nil
}

// toProve asks which of the order's names the authority wants proven. The record's name
// comes from our host, never from what the authority says: nobody who can speak for it gets
// a record of ours set elsewhere.
func (o *ordering) toProve(ctx context.Context) (proofs []proof, values []Challenge, err error) {
	name, err := o.host.Child("_acme-challenge")
	if err != nil {
		return nil, nil, err
	}
	if len(o.order.Authorizations) > len(o.names) {
		return nil, nil, errors.New("it wants more names proven than were ordered")
	}
	for _, url := range o.order.Authorizations {
		authz, err := o.client.GetAuthorization(ctx, o.account, url)
		if err != nil {
			return nil, nil, err
		}
		if authz.Identifier.Type != "dns" || strings.ToLower(authz.Identifier.Value) != o.host.Text() {
			return nil, nil, errors.New("it wants a name proven that was not ordered: " + printable(authz.Identifier.Value))
		}
		switch authz.Status {
		case acmez.StatusValid:
			continue
		case acmez.StatusPending:
		default:
			return nil, nil, acmez.Problem{Detail: "the authorization is " + authz.Status}
		}
		i := slices.IndexFunc(authz.Challenges, func(c acmez.Challenge) bool { return c.Type == "dns-01" })
		if i < 0 {
			return nil, nil, acmez.Problem{Detail: "it does not offer to prove the name by DNS"}
		}
		proofs = append(proofs, proof{authz, authz.Challenges[i]})
		values = append(values, Challenge{Name: name, Value: authz.Challenges[i].DNS01KeyAuthorization()})
	}
	return proofs, values, nil
}

// finish sends the request for the proven names and fetches the chain.
func (o *ordering) finish(ctx context.Context, req *x509.CertificateRequest) (Issued, error) {
	// An authority may be some time about it after the last name is proven.
	for o.order.Status == acmez.StatusPending {
		var err error
		if o.order, err = o.client.GetOrder(ctx, o.account, o.order); err != nil {
			return Issued{}, err
		}
		if o.order.Status != acmez.StatusPending {
			break
		}
		if err := sleep(ctx, o.client.PollInterval); err != nil {
			return Issued{}, err
		}
	}
	if o.order.Status == acmez.StatusInvalid {
		if o.order.Error != nil {
			return Issued{}, o.order.Error
		}
		return Issued{}, acmez.Problem{Detail: "the order is invalid"}
	}
	order, err := o.client.FinalizeOrder(ctx, o.account, o.order, req.Raw)
	if err != nil {
		return Issued{}, err
	}
	text, err := o.chain(ctx, o.account, order.Certificate)
	if err != nil {
		return Issued{}, err
	}
	issued, err := readChain(text, req, o.names)
	if err != nil {
		return Issued{}, err
	}
	// The certificate is there: what else the authority has to say of it may be missing.
	if said, err := o.renewal(ctx, issued.CertID); err == nil {
		issued.Renewal = said
	}
	return issued, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
