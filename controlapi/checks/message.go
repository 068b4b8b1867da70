package checks

import (
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// checkOf reads a check. Errors are of kind Invalid.
func checkOf(in *pb.SetCheckRequest) (*model.Check, error) {
	kind, err := model.ParseCheckKind("kind", in.GetKind())
	if err != nil {
		return nil, err
	}
	w := &model.Check{
		Kind: kind, Port: uint16(in.GetPort()), Path: in.GetPath(), Host: in.GetHost(), Text: in.GetText(),
		TLS: in.GetTls(), AnyCertificate: in.GetAnyCertificate(), ServerName: in.GetServerName(), Service: in.GetService(),
		Rcode: int(in.GetRcode()), Fall: int(in.GetFall()), Rise: int(in.GetRise()), Sites: in.GetFrom(),
	}
	if in.GetExpect() != "" {
		if w.Statuses, err = model.ParseStatuses("expect", in.GetExpect()); err != nil {
			return nil, err
		}
	}
	if in.GetQuery() != "" {
		if w.Query, err = facts.ParseName("query", in.GetQuery()); err != nil {
			return nil, err
		}
	}
	if in.GetQueryType() != "" {
		if w.QueryType, err = model.ParseType(in.GetQueryType()); err != nil {
			return nil, model.E(model.Invalid, "set check of", in.GetFqdn()).In("query_type").Because("there is no such type").Hint("write a mnemonic such as A")
		}
	}
	for _, f := range []struct {
		field string
		from  *durationpb.Duration
		to    *time.Duration
	}{{"interval", in.GetInterval(), &w.Interval}, {"timeout", in.GetTimeout(), &w.Timeout}} {
		if f.from == nil {
			continue
		}
		if *f.to = f.from.AsDuration(); f.from.CheckValid() != nil || *f.to <= 0 {
			return nil, model.E(model.Invalid, "set check of", in.GetFqdn()).In(f.field).Because("it is no span of time").Hint("leave it out for the default")
		}
	}
	switch {
	case in.Port != nil && in.GetPort() == 0 && kind != model.CheckHeartbeat:
		return nil, model.E(model.Invalid, "set check of", in.GetFqdn()).In("port").Because("0 is no port").Hint("leave it out for the default of http, https and dns")
	case in.GetTimeout() != nil && kind == model.CheckHeartbeat:
		return nil, model.E(model.Invalid, "set check of", in.GetFqdn()).In("timeout").Because("a heartbeat check makes no attempts").
			Hint("leave it out: fall times interval is how long signs of life may stay away")
	}
	return w, w.Check()
}

// checkMessage is a check with its defaults, as the API shows it.
func checkMessage(h store.Named, check *model.Check) *pb.Check {
	c := check.WithDefaults()
	m := &pb.Check{
		Fqdn: h.Name.Text(), Kind: c.Kind.String(), Port: uint32(c.Port), Path: c.Path, Host: c.Host, Expect: statusText(c.Statuses), Text: c.Text,
		Tls: c.TLS, AnyCertificate: c.AnyCertificate, ServerName: c.ServerName, Service: c.Service, Rcode: uint32(c.Rcode),
		Interval: durationpb.New(c.Interval), Timeout: durationpb.New(c.Timeout), Fall: uint32(c.Fall), Rise: uint32(c.Rise), From: c.Sites,
		Etag: call.Etag(h.Data.ModRevision, check.ModRevision),
	}
	if c.Kind == model.CheckHeartbeat {
		m.Timeout = nil
	}
	if c.Query != "" {
		m.Query = c.Query.Text()
	}
	if c.QueryType != 0 {
		m.QueryType = model.TypeName(c.QueryType)
	}
	return m
}

func statusText(all []model.Statuses) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = strconv.Itoa(s.From)
		if s.To != s.From {
			words[i] += "-" + strconv.Itoa(s.To)
		}
	}
	return strings.Join(words, ",")
}

// describeCheck is a check for people, as audit records show it; "" for none.
func describeCheck(check *model.Check) string {
	if check == nil {
		return ""
	}
	c := check.WithDefaults()
	text := c.Kind.String()
	add := func(word, value string) {
		if value != "" {
			text += ", " + word + " " + value
		}
	}
	if c.Port != 0 {
		add("port", strconv.Itoa(int(c.Port)))
	}
	add("path", c.Path)
	add("host", c.Host)
	add("expect", statusText(c.Statuses))
	if c.Text != "" {
		add("text", strconv.Quote(c.Text))
	}
	if c.TLS {
		text += ", tls"
	}
	if c.AnyCertificate {
		text += ", any certificate"
	}
	add("server name", c.ServerName)
	add("service", c.Service)
	if c.Query != "" {
		add("query", c.Query.Text())
	}
	if c.QueryType != 0 {
		add("type", model.TypeName(c.QueryType))
	}
	if c.Rcode != 0 {
		add("rcode", dns.RcodeToString[c.Rcode])
	}
	add("every", intervalText(c.Interval))
	if c.Kind != model.CheckHeartbeat {
		add("timeout", c.Timeout.String())
	}
	text += ", fall " + strconv.Itoa(c.Fall) + ", rise " + strconv.Itoa(c.Rise)
	add("from", strings.Join(c.Sites, " "))
	return text
}
