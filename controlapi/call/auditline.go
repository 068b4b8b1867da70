package call

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"signpost/internal/access"
	"signpost/internal/auditlog"
	"signpost/internal/limits"
	"signpost/internal/model"
)

// Line is what is written down of the call, in the service's log and in the audit file.
func (c *Call) Line(o auditlog.Outcome) auditlog.Record {
	r := auditlog.Record{
		Time: c.Desk.Now(), Outcome: o, Request: c.Caller.LogID, Principal: c.Who.String(), Source: c.source(),
		Agent: c.Caller.UserAgent, Action: string(c.Action),
	}
	if c.Resource.Name != "" {
		r.Name = c.Resource.Name.Text()
	}
	switch c.Who.Kind {
	case access.Admin:
		r.Admin, r.Token = true, c.Who.Token
	case access.User:
		r.Issuer = c.Who.Person.Issuer()
		r.Subject = strings.TrimPrefix(string(c.Who.Person), r.Issuer+"/")
		if c.Who.Narrow != nil {
			r.Token = c.Who.Narrow.Token
		}
	}
	return r
}

// writeDown writes down what was changed at a revision, or may have been when etcd did
// not say. A plan that never was is nil.
func (p *Plan) writeDown(rev int64, err error) {
	o := auditlog.Changed
	switch {
	case err != nil && p != nil && p.ready && model.KindOf(err) == model.Unavailable:
		o = auditlog.MaybeChanged
	case err != nil || p == nil:
		return
	}
	for _, a := range p.Audits {
		r := p.Call.Line(o)
		r.Principal, r.Time, r.Zone, r.Name, r.Detail, r.Before, r.After, r.Revision = a.Principal, a.Time, a.Zone.Text(), "", a.Detail, a.Before, a.After, rev
		if a.Name != "" {
			r.Name = a.Name.Text()
		}
		p.Call.write(slog.LevelInfo, r)
	}
}

// writeDown writes down how the call ended, but for what it changed.
func (c *Call) writeDown(err error) {
	kind := model.KindOf(err)
	switch {
	case err == nil && c.Who.Kind == access.Admin:
		c.write(slog.LevelInfo, c.Line(auditlog.AdminTokenUsed))
		return
	case err == nil:
		return
	case c.wrong || kind == model.Unauthenticated && c.Caller.Authorization != "":
		c.writeRefusal(auditlog.WrongCredential, err)
		return
	case c.Refused || kind == model.Unauthenticated || kind == model.Denied:
		c.writeRefusal(auditlog.Refused, err)
		return
	}
	level := slog.LevelInfo
	if kind == model.Internal {
		level = slog.LevelError
	} else if !c.Desk.failures.Take(limits.Network(c.Caller.Source), string(c.Action), c.Desk.Now()) {
		return
	}
	c.Log(level, "call failed", c.Line(""), slog.String("reason", kind.String()), slog.Any("error", err))
}

func (c *Call) writeRefusal(o auditlog.Outcome, err error) {
	if !c.Desk.refusals.Take(limits.Network(c.Caller.Source), string(c.Action), c.Desk.Now()) {
		c.Desk.metrics.summed.Inc()
		return
	}
	r := c.Line(o)
	r.Reason = model.KindOf(err).String()
	c.Desk.audit.Add(r)
	c.Log(slog.LevelWarn, "call refused", r, slog.String("outcome", string(o)), slog.Any("error", err))
}

// sumEvery is how often refusals that have no lines of their own are summed up in one.
const sumEvery = time.Minute

// SumUpRefusals writes how many refusals have no lines of their own, until ctx ends, and
// then once more.
func (d *Desk) SumUpRefusals(ctx context.Context) {
	tick := time.NewTicker(sumEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.sumUpRefusals(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			d.sumUpRefusals(ctx)
		}
	}
}

func (d *Desk) sumUpRefusals(ctx context.Context) {
	if r, some := d.refusals.Sum(d.Now()); some {
		d.audit.Add(r)
		d.Log.LogAttrs(ctx, slog.LevelWarn, "more calls refused", r.Attrs()...)
	}
	if r, some := d.failures.Sum(d.Now()); some {
		d.Log.LogAttrs(ctx, slog.LevelInfo, "more calls failed", r.Attrs()...)
	}
}

func (c *Call) write(level slog.Level, r auditlog.Record) {
	c.Desk.audit.Add(r)
	c.Log(level, string(r.Outcome), r)
}

// Log writes a line about the call in the service's log.
func (c *Call) Log(level slog.Level, what string, r auditlog.Record, more ...slog.Attr) {
	if c.Desk.Log.Enabled(c.Ctx, level) {
		c.Desk.Log.LogAttrs(c.Ctx, level, what, append(r.Attrs(), more...)...)
	}
}

func (c *Call) source() string {
	if !c.Caller.Source.IsValid() {
		return ""
	}
	return c.Caller.Source.String()
}
