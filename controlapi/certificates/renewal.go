package certificates

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"signpost/controlapi/call"
	"signpost/internal/acme/renewal"
	"signpost/internal/model"
	"signpost/internal/store"
)

// askRenewal asks the authority when a certificate that it has issued is to be renewed, if
// it is time for that, and reports whether something else is kept of it now. Nobody fails for it, or
// waits long.
func (s *Service) askRenewal(ctx context.Context, z *model.Zone, host model.Name, cert *model.Certificate) bool {
	if cert == nil || s.authority == nil || cert.CertID == "" || cert.Directory != s.authority.Directory {
		return false
	}
	return s.renewals.Ask(ctx, cert.CertID, func(ctx context.Context) (renewal.Answer, error) {
		said, err := s.authority.ACME.Renewal(ctx, cert.Chain)
		if err != nil {
			s.Log.LogAttrs(ctx, slog.LevelInfo, "the certificate authority does not say when to renew", slog.String("host", host.Text()), slog.Any("error", err))
			return renewal.Answer{}, err
		}
		changed, err := s.keepRenewal(ctx, z, host, cert.CertID, said.From.UTC().Truncate(time.Second), said.To.UTC().Truncate(time.Second))
		return renewal.Answer{Changed: changed, Again: said.Again}, err
	})
}

// keepRenewal keeps when a certificate is to be renewed, if that is not what is kept.
func (s *Service) keepRenewal(ctx context.Context, zone *model.Zone, host model.Name, certID string, from, to time.Time) (changed bool, err error) {
	_, err = s.Store.Update(ctx, func(tx *store.Tx) error {
		changed = false
		z, err := tx.Zone(zone.Name)
		if err != nil || z.Incarnation != zone.Incarnation {
			return err
		}
		now, err := tx.Certificate(z, host)
		if err != nil || now == nil || now.CertID != certID || now.RenewFrom.Equal(from) && now.RenewTo.Equal(to) {
			return err
		}
		now.RenewFrom, now.RenewTo = from, to
		tx.PutCertificate(z, host, now)
		changed = true
		return nil
	})
	return changed && err == nil, err
}

// within is how long an order may take.
func (s *Service) within(w *wantedCert) time.Duration {
	if w.early != nil {
		return cmp.Or(s.authority.Early, earlyWithin)
	}
	return orderWithin
}

// earlyFailed notes that a certificate could not be renewed early, so that the next look finds
// that it will do: that the authority wants another one is no reason to go without.
func (s *Service) earlyFailed(c *call.Call, w *wantedCert, err error) bool {
	if w.early == nil {
		return false
	}
	s.renewals.Hold(w.early.CertID)
	c.Log(slog.LevelWarn, "a certificate is not renewed early", c.Line(""), slog.Any("error", err))
	return true
}
