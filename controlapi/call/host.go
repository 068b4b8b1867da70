package call

import (
	"signpost/controlapi/facts"
	"signpost/internal/model"
	"signpost/internal/store"
)

// ReadHost is Read of a host, as the request names it. Errors: Invalid; NotFound.
func (c *Call) ReadHost(fqdn string, look func(tx *store.Tx, z *model.Zone, h store.Named) error) error {
	name, err := model.ParseHostName("fqdn", fqdn)
	if err != nil {
		return err
	}
	return c.Read(func(tx *store.Tx) error {
		z, h, err := facts.FindHost(tx, name, c.Desk.Now())
		if err != nil {
			return err
		}
		return look(tx, z, h)
	})
}

// Host reads a host to be changed, and refuses another etag than it has.
func (p *Plan) Host(name model.Name, given string) (*model.Zone, store.Named, error) {
	z, h := p.Call.first.zone, p.Call.first.host
	if p.Call.first.tx != p.Tx || h.Name != name {
		var err error
		if z, h, err = facts.FindHost(p.Tx, name, p.Call.Desk.Now()); err != nil {
			return nil, h, err
		}
	}
	p.In, p.Owner = z, h.Host.Owner
	return z, h, CheckEtag(given, name.Text(), h.Data.ModRevision, h.Host.ModRevision)
}
