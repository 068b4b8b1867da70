package controlapi

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

// line is what is written down of the call, in the service's log and in the audit file.
func (c *call) line(o auditlog.Outcome) auditlog.Record {
	r := auditlog.Record{
		Time: c.s.now(), Outcome: o, Request: c.caller.LogID, Principal: c.who.String(), Source: c.source(),
		Agent: c.caller.UserAgent, Action: string(c.action),
	}
	if c.resource.Name != "" {
		r.Name = c.resource.Name.Text()
	}
	switch c.who.Kind {
	case access.Admin:
		r.Admin, r.Token = true, c.who.Token
	case access.User:
		r.Issuer = c.who.Person.Issuer()
		r.Subject = strings.TrimPrefix(string(c.who.Person), r.Issuer+"/")
		if c.who.Narrow != nil {
			r.Token = c.who.Narrow.Token
		}
	}
	return r
}

// writeDown writes down what was changed at a revision, or may have been when etcd did
// not say. A plan that never was is nil.
func (p *plan) writeDown(rev int64, err error) {
	o := auditlog.Changed
	switch {
	case err != nil && p != nil && p.ready && model.KindOf(err) == model.Unavailable:
		o = auditlog.MaybeChanged
	case err != nil || p == nil:
		return
	}
	for _, a := range p.audits {
		r := p.call.line(o)
		r.Principal, r.Time, r.Zone, r.Name, r.Detail, r.Before, r.After, r.Revision = a.Principal, a.Time, a.Zone.Text(), "", a.Detail, a.Before, a.After, rev
		if a.Name != "" {
			r.Name = a.Name.Text()
		}
		p.call.write(slog.LevelInfo, r)
	}
}

// writeDown writes down how the call ended, but for what it changed.
func (c *call) writeDown(err error) {
	kind := model.KindOf(err)
	switch {
	case err == nil && c.who.Kind == access.Admin:
		c.write(slog.LevelInfo, c.line(auditlog.AdminTokenUsed))
		return
	case err == nil:
		return
	case c.wrong || kind == model.Unauthenticated && c.caller.Authorization != "":
		c.writeRefusal(auditlog.WrongCredential, err)
		return
	case c.refused || kind == model.Unauthenticated || kind == model.Denied:
		c.writeRefusal(auditlog.Refused, err)
		return
	}
	level := slog.LevelInfo
	if kind == model.Internal {
		level = slog.LevelError
	} else if !c.s.failures.Take(limits.Network(c.caller.Source), string(c.action), c.s.now()) {
		return
	}
	c.log(level, "call failed", c.line(""), slog.String("reason", kind.String()), slog.Any("error", err))
}

func (c *call) writeRefusal(o auditlog.Outcome, err error) {
	if !c.s.refusals.Take(limits.Network(c.caller.Source), string(c.action), c.s.now()) {
		c.s.metrics.summed.Inc()
		return
	}
	r := c.line(o)
	r.Reason = model.KindOf(err).String()
	c.s.audit.Add(r)
	c.log(slog.LevelWarn, "call refused", r, slog.String("outcome", string(o)), slog.Any("error", err))
}

// sumEvery is how often refusals that have no lines of their own are summed up in one.
const sumEvery = time.Minute

// SumUpRefusals writes how many refusals have no lines of their own, until ctx ends, and
// then once more.
func (s *Service) SumUpRefusals(ctx context.Context) {
	tick := time.NewTicker(sumEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.sumUpRefusals(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			s.sumUpRefusals(ctx)
		}
	}
}

func (s *Service) sumUpRefusals(ctx context.Context) {
	if r, some := s.refusals.Sum(s.now()); some {
		s.audit.Add(r)
		s.log.LogAttrs(ctx, slog.LevelWarn, "more calls refused", r.Attrs()...)
	}
	if r, some := s.failures.Sum(s.now()); some {
		s.log.LogAttrs(ctx, slog.LevelInfo, "more calls failed", r.Attrs()...)
	}
}

func (c *call) write(level slog.Level, r auditlog.Record) {
	c.s.audit.Add(r)
	c.log(level, string(r.Outcome), r)
}

func (c *call) log(level slog.Level, what string, r auditlog.Record, more ...slog.Attr) {
	if c.s.log.Enabled(c.ctx, level) {
		c.s.log.LogAttrs(c.ctx, level, what, append(r.Attrs(), more...)...)
	}
}

func (c *call) source() string {
	if !c.caller.Source.IsValid() {
		return ""
	}
	return c.caller.Source.String()
}
