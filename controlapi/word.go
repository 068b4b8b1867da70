package controlapi

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// For how long a timed word may be said.
const (
	leastFor = 10 * time.Second
	mostFor  = 366 * 24 * time.Hour
)

// SetEndpointWord says something of an endpoint, or takes it back.
func (s *Service) SetEndpointWord(ctx context.Context, in *pb.SetEndpointWordRequest) (out *pb.SetEndpointWordResponse, err error) {
	action := access.EndpointWord
	if in.GetSay() == "drain" || in.GetSay() == "auto" {
		action = access.EndpointDrain
	}
	c, err := s.authorize(ctx, action, endpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	said, err := c.saying(in, in.GetReason())
	if err != nil {
		return nil, err
	}
	defer c.endMarker(&err)
	recorded := action
	if said.say == model.SayNothing {
		recorded = access.EndpointAuto
	}
	return change(c, func(p *plan) (*pb.SetEndpointWordResponse, error) {
		z, h, err := p.host(name, "")
		if err != nil {
			return nil, err
		}
		e := h.Data.Host.Endpoint(in.GetId())
		if e == nil {
			return nil, noEndpoint(name, in.GetId())
		}
		words, err := p.EndpointWords(z, name)
		if err != nil {
			return nil, err
		}
		old := words[e.ID]
		if self := c.who.Kind == access.EndpointSecret; self && old != nil && !old.Self {
			return nil, model.E(model.Precondition, "say "+in.GetSay()+" of", name.Text()+" "+e.ID).In("say").
				Because("an operator's word stands: " + wordText(old)).Hint("ask them, or an owner of the host, to take it back")
		}
		if old != nil && old.Say != model.SayDrain && c.who.Kind != access.EndpointSecret { // who may only drain takes back no more
			if err := c.may(p.Tx, access.EndpointWord, c.resource); err != nil {
				return nil, err
			}
		}
		word, err := p.word(said, old)
		if err != nil {
			return nil, err
		}
		if mayTakeAway(old, word) {
			if err := p.guardHost(z, h, in.GetConfirmLast(), saidOf(e.ID, word), h.Data.Host); err != nil {
				return nil, err
			}
		}
		if word != old {
			p.PutEndpointWord(z, name, e.ID, word)
			p.zone = z
			p.recordAs(recorded, z.Name, name, e.ID, wordText(old), wordText(word))
		}
		if err := p.passOver(recorded, z, name, e.ID); err != nil {
			return nil, err
		}
		return &pb.SetEndpointWordResponse{Word: wordMessage(word), Change: &pb.Change{}}, nil
	})
}

// SetHostWord says something of a host, or takes it back.
func (s *Service) SetHostWord(ctx context.Context, in *pb.SetHostWordRequest) (out *pb.SetHostWordResponse, err error) {
	c, err := s.authorize(ctx, access.HostWord, hostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	said, err := c.saying(in, in.GetReason())
	if err != nil {
		return nil, err
	}
	defer c.endMarker(&err)
	return change(c, func(p *plan) (*pb.SetHostWordResponse, error) {
		z, h, err := p.host(name, "")
		if err != nil {
			return nil, err
		}
		old, err := p.HostWord(z, name)
		if err != nil {
			return nil, err
		}
		word, err := p.word(said, old)
		if err != nil {
			return nil, err
		}
		if mayTakeAway(old, word) {
			if err := p.guardHost(z, h, in.GetConfirmLast(), saidOfHost(word), h.Data.Host); err != nil {
				return nil, err
			}
		}
		if word != old {
			p.PutHostWord(z, name, word)
			p.zone = z
			p.record(z.Name, name, "", wordText(old), wordText(word))
		}
		if err := p.passOver(c.action, z, name, ""); err != nil {
			return nil, err
		}
		return &pb.SetHostWordResponse{Word: wordMessage(word), Change: &pb.Change{}}, nil
	})
}

// passOver takes back that endpoints are passed over: an operator has spoken.
func (p *plan) passOver(action access.Action, z *model.Zone, host model.Name, id string) error {
	overs, err := p.Overs(z, host)
	if err != nil {
		return err
	}
	for of := range overs {
		if id == "" || of == id {
			p.PutOver(z, host, of, nil)
			if p.zone = z; len(p.audits) == 0 {
				p.recordAs(action, z.Name, host, of, "passed over", "")
			}
		}
	}
	return nil
}

// saying is a word as a request says it.
type saying struct {
	say    model.Saying // SayNothing: auto
	reason string
	span   time.Duration // 0: until it is taken back
}

var sayings = map[string]model.Saying{"up": model.SayUp, "down": model.SayDown, "drain": model.SayDrain, "auto": model.SayNothing}

// saying reads a word. Errors are of kind Invalid.
func (c *call) saying(in interface {
	GetSay() string
	GetFor() *durationpb.Duration
}, reason string) (saying, error) {
	w := saying{say: sayings[in.GetSay()], reason: reason}
	if in.GetFor() == nil {
		return w, nil
	}
	bad := func(why string) (saying, error) {
		return w, model.E(model.Invalid, "say "+in.GetSay()+" of", c.resource.Name.Text()).In("for").Because(why)
	}
	w.span = in.GetFor().AsDuration()
	switch {
	case w.say == model.SayNothing:
		return bad("auto takes a word back, and that has no end")
	case in.GetFor().CheckValid() != nil || w.span < leastFor || w.span > mostFor:
		return bad("it is not between 10 seconds and 366 days")
	}
	return w, nil
}

// word is what is said, in the place of old: nil to say nothing, and old itself when that
// says the same without an end.
func (p *plan) word(said saying, old *model.Word) (*model.Word, error) {
	c := p.call
	self := c.who.Kind == access.EndpointSecret
	if c.former = ""; old != nil {
		c.former = old.Marker
	}
	switch {
	case said.say == model.SayNothing:
		return nil, nil
	case old != nil && said.span == 0 && old.Marker == "" && old.Say == said.say && old.Reason == said.reason && old.Self == self:
		return old, nil
	}
	now := c.s.now().UTC().Truncate(time.Second)
	w := &model.Word{Say: said.say, Reason: said.reason, By: c.who.String(), Self: self, Time: now}
	if said.span == 0 {
		return w, nil
	}
	w.ExpireTime = now.Add(said.span)
	if c.marker == "" { // one for all tries
		if err := c.paceWrite(p); err != nil {
			return nil, err
		}
		var err error
		if c.marker, err = c.s.store.Marker(c.ctx, said.span); err != nil {
			return nil, err
		}
	}
	w.Marker = c.marker
	return w, nil
}

// endMarker ends the marker of the word that was taken back, or of the one that could not
// be said: nothing waits for it any more.
func (c *call) endMarker(err *error) {
	id := c.former
	if *err != nil {
		id = c.marker
	}
	if id == "" || *err != nil && model.KindOf(*err) == model.Unavailable {
		return // it may be needed
	}
	c.s.store.EndMarker(context.WithoutCancel(c.ctx), id)
}

func takesAway(w *model.Word) bool {
	return w != nil && (w.Say == model.SayDown || w.Say == model.SayDrain)
}

// mayTakeAway reports whether less may be offered with a word in the place of another: also
// taking back what has put something up may leave nothing.
func mayTakeAway(old, word *model.Word) bool {
	return word != old && !takesAway(old) && (word == nil || takesAway(word))
}

var sayingNames = map[model.Saying]string{model.SayUp: "up", model.SayDown: "down", model.SayDrain: "drain"}

// wordText is a word for people; "" for none.
func wordText(w *model.Word) string {
	if w == nil {
		return ""
	}
	text := sayingNames[w.Say]
	if w.Reason != "" {
		text += " (" + w.Reason + ")"
	}
	if !w.ExpireTime.IsZero() {
		text += " until " + w.ExpireTime.UTC().Format(time.RFC3339)
	}
	return text
}

func wordMessage(w *model.Word) *pb.Word {
	if w == nil {
		return nil
	}
	return &pb.Word{Say: sayingNames[w.Say], Reason: w.Reason, By: w.By, Self: w.Self, Time: timeMessage(w.Time), ExpireTime: timeMessage(w.ExpireTime)}
}

func durationMessage(d time.Duration) *durationpb.Duration { return durationpb.New(d) }
