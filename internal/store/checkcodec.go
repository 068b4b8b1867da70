package store

import (
	"time"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

func encodeCheck(c *model.Check) []byte {
	p := &storepb.Check{
		Schema: 2, Kind: uint32(c.Kind), Port: uint32(c.Port), Path: c.Path, Host: c.Host, Text: c.Text, Tls: c.TLS,
		AnyCertificate: c.AnyCertificate, ServerName: c.ServerName, Service: c.Service,
		Query: string(c.Query), QueryType: uint32(c.QueryType), Rcode: uint32(c.Rcode),
		IntervalMs: c.Interval.Milliseconds(), TimeoutMs: c.Timeout.Milliseconds(), Fall: uint32(c.Fall), Rise: uint32(c.Rise), Sites: c.Sites, Owner: c.Owner,
	}
	for _, s := range c.Statuses {
		p.Statuses = append(p.Statuses, uint32(s.From), uint32(s.To))
	}
	return encode(p)
}

// decodeCheck gives a check that could be set, whoever has written it.
func decodeCheck(raw []byte, rev int64) (*model.Check, error) {
	var p storepb.Check
	if err := decode("check", raw, &p); err != nil {
		return nil, err
	}
	if p.Port > 0xffff || p.QueryType > 0xffff || len(p.Statuses)%2 != 0 || p.IntervalMs > maxMillis || p.TimeoutMs > maxMillis {
		return nil, model.E(model.Internal, "read stored check", "").Because("a number is out of range")
	}
	c := &model.Check{
		Kind: model.CheckKind(p.Kind), Port: uint16(p.Port), Path: p.Path, Host: p.Host, Text: p.Text, TLS: p.Tls,
		AnyCertificate: p.AnyCertificate, ServerName: p.ServerName, Service: p.Service,
		QueryType: uint16(p.QueryType), Rcode: int(p.Rcode), Interval: time.Duration(p.IntervalMs) * time.Millisecond,
		Timeout: time.Duration(p.TimeoutMs) * time.Millisecond, Fall: int(p.Fall), Rise: int(p.Rise), Sites: p.Sites, Owner: p.Owner, ModRevision: rev,
	}
	for i := 0; i < len(p.Statuses); i += 2 {
		c.Statuses = append(c.Statuses, model.Statuses{From: int(p.Statuses[i]), To: int(p.Statuses[i+1])})
	}
	if p.Query != "" {
		var err error
		if c.Query, err = model.ParseName(p.Query); err != nil {
			return nil, err
		}
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

// maxMillis is far above the bounds of a check, and far below those of a Duration.
const maxMillis = 1 << 32
