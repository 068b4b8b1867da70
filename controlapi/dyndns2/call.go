package dyndns2

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"signpost/controlapi"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// call is one request to update, read.
type call struct {
	ctx     context.Context
	service *controlapi.Service
	who     credential
	asked   asked
}

func (c *call) withToken(names []string) reply {
	switch {
	case len(names) == 1 && hasDot(names[0]):
		return c.change(names[0])
	case len(names) == 1:
		return c.afterVerdict(wordNotFQDN)
	case len(names) > maxNames:
		return c.afterVerdict(wordTooMany)
	case len(names) > 1:
		return c.changeEach(names)
	}
	return c.afterVerdict(wordNoHost)
}

func (c *call) withSecret(names []string) reply {
	if !hasDot(c.who.user) {
		return say(wordNotFQDN)
	}
	if len(names) > maxNames {
		return c.afterVerdict(wordTooMany)
	}
	lines := make([]string, len(names))
	var own reply // of the one name that the secret may change
	for i, n := range names {
		switch {
		case !hasDot(n):
			lines[i] = wordNotFQDN
		case !sameName(n, c.who.user):
			lines[i] = wordNoHost
		default:
			if own.status == 0 {
				if own = c.change(n); own.status != http.StatusOK {
					return own
				}
			}
			lines[i] = own.lines[0]
		}
	}
	if own.status == 0 {
		return c.afterVerdict(lines...)
	}
	return reply{status: http.StatusOK, lines: lines}
}

// afterVerdict says words that follow from the request alone, but only to somebody
// whose credential is right.
func (c *call) afterVerdict(words ...string) reply {
	me, err := c.service.WhoAmI(c.ctx, &pb.WhoAmIRequest{})
	switch {
	case errors.Is(err, model.ErrBadAgent): // which comes after these words
	case err != nil:
		return c.translate(err)
	case me.GetPrincipal() == "" || me.GetKind() == "nobody":
		return badauth(c.who)
	}
	return say(words...)
}

// change does what is asked for to one host.
func (c *call) change(fqdn string) reply {
	for try := 1; ; try++ {
		in, line, err := c.prepare(fqdn)
		switch {
		case err != nil:
			return c.translate(err)
		case in == nil:
			return say(line)
		}
		out, err := c.service.SetAddresses(c.ctx, in)
		switch {
		case model.KindOf(err) == model.Aborted && err != nil && try < renumberings:
			continue
		case err != nil:
			return c.translate(err)
		}
		return say(c.done(out.GetChange().GetChanged(), out.GetHost().GetAddresses()))
	}
}

// prepare is what is asked for of a host; nil when its line can be said already.
func (c *call) prepare(fqdn string) (in *pb.SetAddressesRequest, line string, err error) {
	in = &pb.SetAddressesRequest{ConfirmLast: true, Fqdn: fqdn}
	if !c.asked.needsHost() {
		c.asked.fill(in, nil)
		return in, "", nil
	}
	host, err := c.service.LookAtHost(c.ctx, &pb.GetHostRequest{Fqdn: fqdn})
	if err != nil {
		return nil, "", err
	}
	in, line = c.prepareFrom(host)
	return in, line, nil
}

// prepareFrom is prepare for a host that was looked at.
func (c *call) prepareFrom(host *pb.Host) (in *pb.SetAddressesRequest, line string) {
	switch {
	case host.GetBlocked() != nil:
		return nil, wordAbuse
	case host.GetDisabled() != nil:
		return nil, wordNoHost
	case c.asked.wrong, c.asked.remove && !c.asked.mentionsAny():
		return nil, wordDNSError
	case !c.asked.mentionsAny():
		return nil, wordSame + " " + c.asked.answer(host.GetAddresses())
	}
	in = &pb.SetAddressesRequest{ConfirmLast: true, Fqdn: host.GetFqdn(), Etag: host.GetEtag()} // a new prefix goes before the addresses that we looked at
	c.asked.fill(in, parseAll(host.GetAddresses()))
	return in, ""
}

// done is the line of a host that has these addresses now.
func (c *call) done(changed bool, now []string) string {
	switch {
	case c.asked.remove:
		return wordDeleted + " " + c.asked.families()
	case changed:
		return wordGood + " " + c.asked.answer(now)
	}
	return wordSame + " " + c.asked.answer(now)
}

// translate is an error of the service in the words of the protocol. Of an error
// only its kind is left, unless there are words for its cause; what kinds lose is said
// at words.
func (c *call) translate(err error) reply {
	for cause, v := range causes {
		if errors.Is(err, cause) {
			return v.reply()
		}
	}
	kind := model.KindOf(err)
	var e *model.Error
	if errors.As(err, &e) && kind == model.Invalid && e.Field == "fqdn" {
		kind = model.NotFound // a name that cannot be a host's is no host
	}
	if after := model.RetryAfter(err); kind == model.Exhausted && after > 0 {
		return tooMuch(after)
	}
	if kind == model.Unauthenticated {
		return badauth(c.who)
	}
	return words[kind].reply()
}

func parseAll(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}
