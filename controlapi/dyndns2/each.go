package dyndns2

import (
	"errors"
	"net/http"
	"slices"

	"signpost/controlapi"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// changeEach does what is asked for to several hosts, to all those together to which it
// can be done. It says a line for each name, in order.
func (c *call) changeEach(names []string) reply {
	if !c.asked.needsHost() {
		if r := c.afterVerdict(); r.status != http.StatusOK {
			return r
		}
	}
	for try := 1; ; try++ {
		lines, err := c.tryEach(names)
		switch {
		case model.KindOf(err) == model.Aborted && err != nil && try < renumberings:
			continue
		case model.KindOf(err) == model.Exhausted && err != nil && model.RetryAfter(err) == 0:
			return c.changeOneByOne(names) // with all that follow them they do not go into one change
		case err != nil:
			return c.translate(err)
		}
		return say(lines...)
	}
}

func (c *call) changeOneByOne(names []string) reply {
	lines := make([]string, len(names))
	for i, n := range names {
		if lines[i] = wordNotFQDN; !hasDot(n) {
			continue
		}
		r := c.change(n)
		if r.status != http.StatusOK {
			return r
		}
		lines[i] = r.lines[0]
	}
	return say(lines...)
}

// lineOf is an error of one host as its line; an error when it is no host's.
func (c *call) lineOf(err error) (string, error) {
	if r := c.translate(err); r.status == http.StatusOK {
		return r.lines[0], nil
	}
	return "", err
}

// tryEach is changeEach on what the hosts are now. Errors are those that are no host's.
func (c *call) tryEach(names []string) ([]string, error) {
	said := map[model.Name]string{} // of the names that can be a host's
	var all []model.Name
	for _, n := range names {
		name, err := model.ParseHostName("hostname", n)
		if _, seen := said[name]; err != nil || seen || !hasDot(n) {
			continue
		}
		said[name], all = "", append(all, name)
	}
	asked, of, err := c.prepareEach(all, said)
	if err != nil {
		return nil, err
	}
	for len(asked) > 0 {
		out, err := c.service.SetAddressesOfEach(c.ctx, asked)
		if err == nil {
			for i, o := range out {
				said[of[i]] = c.done(o.Changed, o.Addresses)
			}
			break
		}
		e := new(controlapi.HostError)
		if !errors.As(err, &e) {
			return nil, err
		}
		if said[of[e.Index]], err = c.lineOf(e.Err); err != nil {
			return nil, err
		}
		asked, of = append(asked[:e.Index:e.Index], asked[e.Index+1:]...), append(of[:e.Index:e.Index], of[e.Index+1:]...)
	}
	lines := make([]string, len(names))
	for i, n := range names {
		lines[i] = wordNoHost
		if !hasDot(n) {
			lines[i] = wordNotFQDN
		} else if name, err := model.ParseHostName("hostname", n); err == nil {
			lines[i] = said[name]
		}
	}
	return lines, nil
}

// prepareEach is prepare for hosts that are looked at together, if they must be. It says the
// lines that can be said, and of which hosts something is asked for. Errors are those that
// are no host's.
func (c *call) prepareEach(all []model.Name, said map[model.Name]string) (asked []*pb.SetAddressesRequest, of []model.Name, err error) {
	if !c.asked.needsHost() {
		for _, n := range all {
			in := &pb.SetAddressesRequest{ConfirmLast: true, Fqdn: n.Text()}
			c.asked.fill(in, nil)
			asked = append(asked, in)
		}
		return asked, all, nil
	}
	hosts, errs, err := c.service.LookAtHosts(c.ctx, all)
	if errors.Is(err, model.ErrBadAgent) {
		hosts, errs, err = make([]*pb.Host, len(all)), slices.Repeat([]error{err}, len(all)), nil // which each is told
	}
	if err != nil {
		return nil, nil, err
	}
	for i, n := range all {
		var in *pb.SetAddressesRequest
		if errs[i] == nil {
			in, said[n] = c.prepareFrom(hosts[i])
		} else if said[n], err = c.lineOf(errs[i]); err != nil {
			return nil, nil, err
		}
		if in != nil {
			asked, of = append(asked, in), append(of, n)
		}
	}
	return asked, of, nil
}
