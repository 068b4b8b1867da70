package cutover

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"signpost/controlapi/hosts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// mostLinks is how many certificates a chain may have.
const mostLinks = 10

// readChain reads a chain of certificates in PEM, the host's first, and keeps nothing else
// that is there.
func readChain(host model.Name, text string) (*model.Certificate, error) {
	var leaf *x509.Certificate
	var chain bytes.Buffer
	links := 0
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("there is something in it that is no certificate")
		}
		if links++; links > mostLinks {
			return nil, errors.New("there are more than 10 certificates in it")
		}
		if leaf == nil {
			leaf = cert
		}
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return nil, err
		}
	}
	if leaf == nil {
		return nil, errors.New("there is no certificate in it")
	}
	if err := leaf.VerifyHostname(host.Text()); err != nil {
		return nil, errors.New("its first certificate is not for the host")
	}
	return &model.Certificate{
		Chain: chain.Bytes(), KeyID: sha256.Sum256(leaf.RawSubjectPublicKeyInfo), Wildcard: leaf.VerifyHostname("x."+host.Text()) == nil,
		Serial: leaf.SerialNumber.Text(16), NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(),
	}, nil
}

// takeChain keeps the chain that a host has there, if it has none here or an older one. One
// that has ended is left. With another owner, and where another host was, it comes the
// next time: the former one's goes in this change.
func (i *importing) takeChain(r *pb.ImportedName, f *former, here, next store.Named) error {
	if f.host != nil && f.host.noChain != "" && here.Data.Host == nil {
		r.Kept = append(r.Kept, "no certificate: "+f.host.noChain)
	}
	if f.host == nil || f.host.chain == nil || next.Data.Host == nil || here.Host != nil && (here.Data.Host == nil || here.Host.Owner != next.Host.Owner) {
		return nil
	}
	now, is := i.Call.Desk.Now(), f.host.chain
	old, err := i.Certificate(i.zone, f.name)
	if err != nil {
		return err
	}
	if !now.Before(is.NotAfter) {
		if old == nil {
			r.Kept = append(r.Kept, "no certificate: that of there ended on "+is.NotAfter.Format(time.DateOnly))
		}
		return nil
	}
	if old != nil && !is.NotBefore.After(old.NotBefore) {
		return nil
	}
	cert := *is
	cert.IssueTime = is.NotBefore
	i.PutCertificate(i.zone, f.name, &cert)
	i.RecordAs(access.CertIssue, i.zone.Name, f.name, "imported", message.DescribeCertificate(f.name, old), message.DescribeCertificate(f.name, &cert))
	r.Changes = append(r.Changes, "certificate until "+is.NotAfter.Format(time.DateOnly))
	if r.Outcome == "unchanged" {
		r.Outcome = "changed"
	}
	return nil
}

// followOf is next when it follows whom it follows there; old is the host until now, or
// next itself when it is made. Whom it follows need not be there in a rehearsal.
func (i *importing) followOf(f *formerHost, old, next store.Named) (store.Named, error) {
	if f.follows == nil && old.Host.Follows == nil {
		return next, nil
	}
	followed, err := hosts.Follow(i.Plan, i.zone, old, next, &pb.UpdateHostRequest{Fqdn: next.Name.Text(), Follows: f.follows, ConfirmLast: true})
	if i.rehearsed && err != nil && model.KindOf(err) == model.NotFound {
		return next, nil
	}
	return followed, err
}
