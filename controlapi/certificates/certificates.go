// Package certificates answers one question: which certificate does a host get, and what
// must be true before one is ordered?
package certificates

import (
	"cmp"
	"context"
	"crypto/x509"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/acme"
	"signpost/internal/acme/renewal"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for certificates.
type Service struct {
	pb.UnimplementedCertificateServiceServer
	*call.Desk
	authority *Authority // nil: nobody
	renewals  *renewal.Desk
	orders    *prometheus.CounterVec
}

// New makes the service; authority is whom certificates are ordered from, nil:
// nobody.
func New(d *call.Desk, authority *Authority, reg prometheus.Registerer) (*Service, error) {
	s := &Service{Desk: d, authority: authority, renewals: renewal.New(d.Stopping, d.Now), orders: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "signpost_certificate_orders_total", Help: "Orders of certificates that were begun here, by what became of them: issued, kept (there was one by then), or the kind of error.",
	}, []string{"outcome"})}
	s.orders.WithLabelValues("issued") // so that it is there before the first
	return s, call.Register(reg, s.orders)
}

// Authority is a certificate authority, and how much is asked of it.
type Authority struct {
	ACME      *acme.Authority
	Directory string // the URL that ACME was made with; an account is with one of it
	// ZoneLimit is how many certificates the authority issues for one zone in a week, of
	// which 80 % are ordered; 0: 50.
	ZoneLimit int
	// Wait is how long name servers may take to serve a challenge; 0: 20 s.
	Wait time.Duration
	// Early is how long an order may take when the certificate that there is would do; 0:
	// 40 s, as clients give up after a minute.
	Early time.Duration
}

// How many orders there may be in a week, and how long one may take.
const (
	ordersOfNames    = 5  // for a host, with its wildcard or without
	ordersOfEarly    = 3  // of them, when the certificate that there is would do
	ordersOfOwner    = 20 // for the hosts of one person
	ordersOfZone     = 50
	ordersOfZoneOf   = 80 // per cent of what the authority allows
	orderWithin      = 2 * time.Minute
	earlyWithin      = 40 * time.Second
	challengeWait    = 20 * time.Second
	challengeExpires = time.Hour
)

// most is how many orders there may be. Early ones, which the authority has asked for, leave
// some to those who need one.
func (a *Authority) most(early bool) store.OrderedMost {
	zone := cmp.Or(a.ZoneLimit, ordersOfZone) * ordersOfZoneOf / 100
	out := store.OrderedMost{Names: ordersOfNames, Owner: ordersOfOwner, Zone: max(zone, 1)}
	if early {
		out.Names = ordersOfEarly
	}
	return out
}

// GetCertificate shows the certificate of a host.
func (s *Service) GetCertificate(ctx context.Context, in *pb.GetCertificateRequest) (out *pb.Certificate, err error) {
	c, err := s.Authorize(ctx, access.CertRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	var z *model.Zone
	var cert *model.Certificate
	look := func(tx *store.Tx) (err error) {
		if z, _, err = facts.FindHost(tx, name, s.Now()); err != nil {
			return err
		}
		cert, err = tx.Certificate(z, name)
		if err == nil && cert == nil {
			err = model.E(model.NotFound, "find certificate of", name.Text()).Because("the host has none").
				Hint("signpost cert issue " + name.Text() + " --csr FILE orders one").From(model.ErrNoCertificate)
		}
		return err
	}
	err = c.Read(look)
	if err == nil && s.askRenewal(ctx, z, name, cert) {
		err = c.Read(look)
	}
	if err != nil {
		return nil, err
	}
	return message.Certificate(name, cert), nil
}

// IssueCertificate gives a certificate for the key of a signing request: the one that the
// host has, if it is of that key and fresh, else one that is ordered now. Of several who
// ask at once, here and at other control services, one orders, and those with the same
// key are answered what comes of it.
func (s *Service) IssueCertificate(ctx context.Context, in *pb.IssueCertificateRequest) (out *pb.IssueCertificateResponse, err error) {
	c, err := s.Authorize(ctx, access.CertIssue, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	if out, done, err := call.Repeated[*pb.IssueCertificateResponse](c); done || err != nil {
		return out, err
	}
	for {
		w, err := s.want(c, name, in.GetCsr())
		if err != nil {
			return nil, err
		}
		if s.askRenewal(ctx, w.zone, name, cmp.Or(w.have, w.early)) {
			continue
		}
		if w.have != nil {
			return w.unchanged(), nil
		}
		out, again, err := s.order(ctx, c, w)
		if err != nil && s.earlyFailed(c, w, err) {
			continue
		}
		if !again {
			return out, err
		}
	}
}

// order orders a certificate, or waits for the order that another has begun: again says
// that it is over, and that there may be something else to be done now.
func (s *Service) order(ctx context.Context, c *call.Call, w *wantedCert) (out *pb.IssueCertificateResponse, again bool, err error) {
	order, by, err := s.Store.ClaimOrder(context.WithoutCancel(ctx), w.zone, w.host, w.keyID, w.rev, c.Who.String(), s.Now())
	if err != nil {
		return nil, false, err
	}
	if order != nil {
		defer func(of context.Context) { c.Ctx = of }(c.Ctx)
		out, err = s.place(c, w, order)
		return out, false, err
	}
	failed, err := s.awaitOrder(ctx, by, s.within(w))
	if err != nil {
		return nil, false, err
	}
	if failed != nil && by.KeyID == w.keyID {
		failed.Op, failed.Subject = issueOp, w.host.Text()
		return nil, false, failed
	}
	return nil, true, nil
}

const issueOp = "issue certificate for"

// awaitOrder waits for what comes of another's order, as long as the caller does.
func (s *Service) awaitOrder(ctx context.Context, by *store.OrderUnderWay, within time.Duration) (failed *model.Error, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer context.AfterFunc(s.Stopping, cancel)()
	return s.Store.AwaitOrder(ctx, by)
}

// wantedCert is a certificate that somebody asks for, and the host as it was then.
type wantedCert struct {
	host     model.Name
	zone     *model.Zone
	csr      *x509.CertificateRequest
	keyID    [32]byte
	wildcard bool
	owner    string
	created  time.Time
	have     *model.Certificate // that will do
	early    *model.Certificate // that would do, had the authority not said that it is to be renewed early
	replaces string             // the authority's name for the one that it takes the place of
	rev      int64              // that was looked at
}

// want reads a signing request and looks whether there is already what it asks for, or
// whether it can be ordered; then it counts as a change. Errors: those of acme.CheckRequest,
// NotFound, Precondition, Exhausted.
func (s *Service) want(c *call.Call, name model.Name, csr string) (w *wantedCert, err error) {
	err = c.Read(func(tx *store.Tx) error {
		z, h, err := facts.FindHost(tx, name, s.Now())
		if err != nil {
			return err
		}
		w = &wantedCert{host: name, zone: z, wildcard: h.Data.Host.Wildcard, owner: h.Host.Owner, created: h.Host.CreateTime}
		if w.csr, err = acme.CheckRequest([]byte(csr), name, w.wildcard); err != nil {
			return err
		}
		w.keyID = acme.KeyID(w.csr)
		if w.rev, err = tx.Revision(); err != nil {
			return err
		}
		if w.have, err = s.keptCert(tx, w); err != nil || w.have != nil {
			return err
		}
		err = s.orderable(tx, name)
		if err == nil {
			p := c.PlanOf(tx)
			p.In = z
			err = c.PaceWrite(p) // whatever comes of it, name servers are asked
		}
		if err != nil && w.early != nil {
			w.have, err = w.early, nil
		}
		return err
	})
	return w, err
}

// keptCert is the certificate that the host has, if it will do: not one that an authority
// issued of which we ask no more, and not one that it wants renewed early, which is noted in w.
func (s *Service) keptCert(tx *store.Tx, w *wantedCert) (*model.Certificate, error) {
	cert, err := tx.Certificate(w.zone, w.host)
	w.replaces, w.early = "", nil
	if err != nil || cert == nil {
		return nil, err
	}
	ours := s.authority != nil && cert.Directory == s.authority.Directory
	if ours {
		w.replaces = cert.CertID
	}
	if cert.KeyID != w.keyID || cert.Wildcard != w.wildcard || !cert.Lasts(s.Now()) || s.authority != nil && cert.Directory != "" && !ours {
		return nil, nil
	}
	if ours && !cert.Fresh(s.Now()) && !s.renewals.Held(cert.CertID) {
		w.early = cert
		return nil, nil
	}
	return cert, nil
}

func (w *wantedCert) unchanged() *pb.IssueCertificateResponse {
	return &pb.IssueCertificateResponse{Certificate: message.Certificate(w.host, w.have), Change: &pb.Change{Revision: w.rev}}
}

// still refuses to go on with a host that is not the one that was asked about.
func (w *wantedCert) still(z *model.Zone, h store.Named) error {
	if z.Incarnation == w.zone.Incarnation && h.Host.Owner == w.owner && h.Host.CreateTime.Equal(w.created) && h.Data.Host.Wildcard == w.wildcard {
		return nil
	}
	return model.E(model.Aborted, issueOp, w.host.Text()).Because("the host was changed meanwhile").Hint("ask again")
}

// orderable says whether a certificate of a host can be ordered at all. Errors:
// Precondition.
func (s *Service) orderable(tx *store.Tx, name model.Name) error {
	refuse := func(why, hint string) error {
		return model.E(model.Precondition, issueOp, name.Text()).Because(why).Hint(hint)
	}
	if s.authority == nil {
		return model.E(model.Precondition, issueOp, name.Text()).Because("no certificate authority is configured").
			Hint("those who run this service give the setting acme-directory").From(model.ErrNoAuthority)
	}
	at, err := challengePlace(tx, name)
	if err != nil {
		return err
	}
	switch {
	case facts.CutAbove(at.Path[1:]):
		return refuse("it is at or below a delegation or DNAME, so that its challenge would not be answered here", "")
	case at.Path[1].Host.Withdrawn():
		return refuse("the host is "+facts.DescribeWithdrawal(at.Path[1].Host)+", so that its challenge would not be answered", "")
	case facts.HasType(at.Sets(), dns.TypeCNAME):
		return refuse("there is a CNAME at "+at.Name.Text()+", so that the challenge cannot be there", "delete it first")
	}
	return nil
}
