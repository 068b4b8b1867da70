package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/message"
	"signpost/internal/acme"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// place orders a certificate under a hold on that. It goes on when the caller is gone, who
// may ask again for what comes of it, and ends when the service does.
func (s *Service) place(c *call.Call, w *wantedCert, order *store.Order) (out *pb.IssueCertificateResponse, err error) {
	ctx, cancel := context.WithTimeout(order.Context(), s.within(w))
	defer cancel()
	defer context.AfterFunc(s.Stopping, cancel)()
	c.Ctx = ctx
	defer func() {
		s.orders.WithLabelValues(orderOutcome(out, err)).Inc()
		if err == nil {
			order.Release()
			return
		}
		why := new(model.Error)
		if !errors.As(err, &why) {
			why = model.E(model.Internal, issueOp, w.host.Text()).From(err)
		}
		order.Fail(why)
	}()
	// Who has no name server that serves the zone gets no challenge seen either: then the
	// authority need not be asked.
	if err := s.awaitServed(ctx, w.zone, 0); err != nil {
		return nil, err
	}
	if err := s.count(c, w, order); err != nil {
		return nil, err
	}
	if w.have != nil {
		return w.unchanged(), nil
	}
	issued, err := s.obtain(c, w, order)
	if err != nil {
		return nil, err
	}
	return s.keepCert(c, w, order, issued)
}

func orderOutcome(out *pb.IssueCertificateResponse, err error) string {
	switch {
	case err != nil:
		return call.KindLabel(err)
	case out.GetChange().GetChanged():
		return "issued"
	}
	return "kept"
}

// count counts the order, if it is still to be placed. Errors: Exhausted when there were
// too many; those of want.
func (s *Service) count(c *call.Call, w *wantedCert, order *store.Order) error {
	_, err := s.Store.Update(c.Ctx, func(tx *store.Tx) error {
		p := c.PlanOf(tx)
		if err := c.Confirm(tx); err != nil {
			return err
		}
		if err := tx.HoldOrder(order); err != nil {
			return err
		}
		z, h, err := p.Host(w.host, "")
		if err == nil {
			err = w.still(z, h)
		}
		if err != nil {
			return err
		}
		if w.have, err = s.keptCert(tx, w); err != nil || w.have != nil {
			return err
		}
		if err := s.orderable(tx, w.host); err != nil {
			return err
		}
		return tx.PlaceOrder(w.orderedBy(), s.authority.most(w.early != nil), s.Now())
	})
	return err
}

// orderedBy is whose order it is. Hosts of administrators' tokens are nobody's whose orders
// are counted.
func (w *wantedCert) orderedBy() store.OrderedBy {
	names := model.CertNames(w.host, w.wildcard)
	by := store.OrderedBy{Names: names[len(names)-1], Zone: w.zone.Name}
	if _, err := model.ParsePrincipalName("", w.owner); err == nil {
		by.Owner = w.owner
	}
	return by
}

// obtain asks the authority for what was counted. What certainly did not come to an order,
// or ended for a reason of ours, is counted no longer.
func (s *Service) obtain(c *call.Call, w *wantedCert, order *store.Order) (*model.Certificate, error) {
	solver := &solver{s: s, c: c, w: w, order: order}
	issued, err := s.ask(c, w, solver)
	if err == nil {
		return s.readCert(w, issued)
	}
	f := new(acme.Failure)
	away := errors.As(err, &f) && f.Why == acme.Unreachable && !solver.presented
	if solver.failed != nil || away {
		s.takeOrderBack(c, w)
	}
	if solver.failed != nil {
		return nil, solver.failed
	}
	return nil, s.refusal(c, w, err)
}

func (s *Service) ask(c *call.Call, w *wantedCert, solver *solver) (acme.Issued, error) {
	ca := s.authority.ACME
	account, err := s.account(c, false)
	if err != nil {
		return acme.Issued{}, err
	}
	issued, err := ca.Renew(c.Ctx, account, w.csr, solver, w.replaces)
	if f := new(acme.Failure); errors.As(err, &f) && f.AccountGone() && !solver.presented {
		if account, err = s.account(c, true); err == nil {
			issued, err = ca.Renew(c.Ctx, account, w.csr, solver, w.replaces)
		}
	}
	return issued, err
}

func (s *Service) takeOrderBack(c *call.Call, w *wantedCert) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Ctx), afterwards)
	defer cancel()
	if _, err := s.Store.Update(ctx, func(tx *store.Tx) error { return tx.TakeOrderBack(w.orderedBy()) }); err != nil {
		c.Log(slog.LevelWarn, "an order that was not placed stays counted", c.Line(""), slog.Any("error", err))
	}
}

// afterwards is how long what is put in order after an order may take.
const afterwards = 10 * time.Second

// readCert is what is kept of what was issued.
func (s *Service) readCert(w *wantedCert, issued acme.Issued) (*model.Certificate, error) {
	block, _ := pem.Decode(issued.Chain)
	if block == nil {
		return nil, model.E(model.Internal, issueOp, w.host.Text()).Because("the chain is no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, model.E(model.Internal, issueOp, w.host.Text()).From(err)
	}
	s.renewals.Told(issued.CertID, issued.Renewal.Again)
	return &model.Certificate{
		Chain: issued.Chain, KeyID: w.keyID, Wildcard: w.wildcard, Serial: leaf.SerialNumber.Text(16),
		NotBefore: issued.NotBefore.UTC(), NotAfter: issued.NotAfter.UTC(), IssueTime: s.Now().UTC().Truncate(time.Second),
		RenewFrom: issued.Renewal.From.UTC().Truncate(time.Second), RenewTo: issued.Renewal.To.UTC().Truncate(time.Second),
		CertID: issued.CertID, Directory: s.authority.Directory,
	}, nil
}

// keepTries is how often a certificate is tried to be kept: it is issued, and counted.
const keepTries = 5

// keepCert keeps what was issued, unless the host is another by now, and ends the order.
func (s *Service) keepCert(c *call.Call, w *wantedCert, order *store.Order, cert *model.Certificate) (out *pb.IssueCertificateResponse, err error) {
	for try := range keepTries {
		out, err = call.Change(c, func(p *call.Plan) (*pb.IssueCertificateResponse, error) {
			if err := p.EndOrder(order); err != nil {
				return nil, err
			}
			z, h, err := p.Host(w.host, "")
			if err == nil {
				err = w.still(z, h)
			}
			if err != nil {
				return nil, err
			}
			old, err := p.Certificate(z, w.host)
			if err != nil {
				return nil, err
			}
			p.PutCertificate(z, w.host, cert)
			p.Record(z.Name, w.host, "", message.DescribeCertificate(w.host, old), message.DescribeCertificate(w.host, cert))
			return &pb.IssueCertificateResponse{Certificate: message.Certificate(w.host, cert), Change: &pb.Change{}}, nil
		})
		if model.KindOf(err) != model.Unavailable || err == nil {
			return out, err
		}
		select {
		case <-c.Ctx.Done():
			return out, err
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		}
	}
	return out, err
}

// refusal is what an authority's failure is to who asked. Lost: the type of the problem,
// which is in the text alone.
func (s *Service) refusal(c *call.Call, w *wantedCert, err error) error {
	e := func(k model.Kind, why string) *model.Error {
		return model.E(k, issueOp, w.host.Text()).Because(why).From(err)
	}
	f := new(acme.Failure)
	switch {
	case errors.As(err, &f):
	case errors.Is(err, context.DeadlineExceeded):
		return e(model.Unavailable, "the certificate authority took longer than "+s.within(w).String()).Hint("ask again")
	case errors.Is(err, context.Canceled):
		return e(model.Unavailable, "the order was given up, as this control service is being stopped").Hint("ask again")
	default:
		return err
	}
	why := f.Why.String()
	for _, more := range []string{f.Type, f.Detail} {
		if more != "" {
			why += ": " + more
		}
	}
	wait := time.Duration(0)
	if !f.Until.IsZero() {
		wait = max(f.Until.Sub(s.Now()), time.Second)
	}
	switch f.Why {
	case acme.Unreachable:
		return e(model.Unavailable, why).Hint("try again later").After(wait)
	case acme.Limited:
		if wait == 0 {
			wait = limitedFor
		}
		return e(model.Exhausted, why).Hint("try again at " + s.Now().Add(wait).UTC().Format(time.RFC3339)).After(wait)
	case acme.NotSeen:
		return e(model.Precondition, why).Hint("is the zone delegated to its name servers, and do they answer from everywhere?")
	}
	return e(model.Precondition, why)
}

// limitedFor is when to try again at an authority that has not said it.
const limitedFor = time.Hour
