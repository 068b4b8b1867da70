package tokens

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// tokenLimits reads how a new token is narrowed. Errors are of kind Invalid and name the
// field.
func tokenLimits(in *pb.CreateTokenRequest) (l model.TokenLimits, err error) {
	if in.GetZone() != "" {
		if l.Zone, err = facts.ParseName("zone", in.GetZone()); err != nil {
			return l, err
		}
	}
	if in.GetHost() != "" {
		if l.Host, err = model.ParseNamePattern("host", in.GetHost()); err != nil {
			return l, err
		}
	}
	for i, text := range in.GetTypes() {
		t, err := model.ParseType(text)
		if err != nil {
			return l, model.E(model.Invalid, "read type", text).In(fmt.Sprintf("types[%d]", i)).From(err)
		}
		if !slices.Contains(l.Types, t) {
			l.Types = append(l.Types, t)
		}
	}
	for i, word := range in.GetActions() {
		if err := access.CheckTokenAction(fmt.Sprintf("actions[%d]", i), word); err != nil {
			return l, err
		}
		if !slices.Contains(l.Actions, word) {
			l.Actions = append(l.Actions, word)
		}
	}
	for i, text := range in.GetSources() {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, errAddr := netip.ParseAddr(text)
			if errAddr != nil || a.Zone() != "" {
				return l, model.E(model.Invalid, "read source", text).In(fmt.Sprintf("sources[%d]", i)).
					Because("it is no address or prefix").Hint("give one such as 192.0.2.0/24")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return l, model.E(model.Invalid, "read source", text).In(fmt.Sprintf("sources[%d]", i)).
				Because("it is an IPv4 address in IPv6 form").Hint("give it as IPv4")
		}
		if p = p.Masked(); !slices.Contains(l.Sources, p) {
			l.Sources = append(l.Sources, p)
		}
	}
	return l, nil
}

func tokenLife(in *pb.CreateTokenRequest) (time.Duration, error) {
	if in.GetLifetime() == nil {
		return model.DefaultTokenLife, nil
	}
	d := in.GetLifetime().AsDuration()
	if !in.GetLifetime().IsValid() || d < time.Second || d > model.MaxTokenLife {
		return 0, model.E(model.Invalid, "create token", "").In("lifetime").Because("it is not between a second and 366 days").
			Hint("give one such as 2592000s, or leave it out for a year")
	}
	return d, nil
}

func tokenMessage(t Owned) *pb.Token {
	m := &pb.Token{
		Id: t.ID, Owner: string(t.Owner), Host: string(t.Limits.Host), Actions: t.Limits.Actions, Comment: t.Comment,
		Parent: t.parent, State: t.State.String(), CreateTime: message.Time(t.CreateTime), ExpireTime: message.Time(t.ExpireTime),
		RevokeTime: message.Time(t.RevokeTime), UseTime: message.Time(t.used),
		Types: typeNames(t.Limits.Types), Sources: sourceTexts(t.Limits.Sources),
	}
	if t.Limits.Zone != "" {
		m.Zone = t.Limits.Zone.Text()
	}
	return m
}

func typeNames(types []uint16) []string {
	var out []string
	for _, t := range types {
		out = append(out, model.TypeName(t))
	}
	return out
}

func sourceTexts(sources []netip.Prefix) []string {
	var out []string
	for _, s := range sources {
		out = append(out, s.String())
	}
	return out
}

// describeToken is a token for people, as audit records show it.
func describeToken(t *model.Token) string {
	parts := []string{"until " + t.ExpireTime.UTC().Format(time.RFC3339)}
	add := func(what, text string) {
		if text != "" {
			parts = append(parts, what+" "+text)
		}
	}
	if t.Limits.Zone != "" {
		add("zone", t.Limits.Zone.Text())
	}
	add("host", string(t.Limits.Host))
	add("types", strings.Join(typeNames(t.Limits.Types), " "))
	add("actions", strings.Join(t.Limits.Actions, " "))
	add("from", strings.Join(sourceTexts(t.Limits.Sources), " "))
	return strings.Join(parts, ", ")
}
