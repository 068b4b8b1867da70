package endpoints

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/call"
	"signpost/controlapi/guard"
	"signpost/controlapi/message"
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
	c, err := s.Authorize(ctx, action, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	said, err := ReadSaying(c.Resource.Name, in, in.GetReason())
	if err != nil {
		return nil, err
	}
	defer said.EndMarker(c, &err)
	recorded := action
	if said.say == model.SayNothing {
		recorded = access.EndpointAuto
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetEndpointWordResponse, error) {
		z, h, err := p.Host(name, "")
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
		if self := c.Who.Kind == access.EndpointSecret; self && old != nil && !old.Self {
			return nil, model.E(model.Precondition, "say "+in.GetSay()+" of", name.Text()+" "+e.ID).In("say").
				Because("an operator's word stands: " + message.WordText(old)).Hint("ask them, or an owner of the host, to take it back")
		}
		if old != nil && old.Say != model.SayDrain && c.Who.Kind != access.EndpointSecret { // who may only drain takes back no more
			if err := c.May(p.Tx, access.EndpointWord, c.Resource); err != nil {
				return nil, err
			}
		}
		word, err := said.Word(p, old)
		if err != nil {
			return nil, err
		}
		if MayTakeAway(old, word) {
			if err := guard.Host(p, z, h, in.GetConfirmLast(), guard.OfEndpoint(e.ID, word), h.Data.Host); err != nil {
				return nil, err
			}
		}
		if word != old {
			p.PutEndpointWord(z, name, e.ID, word)
			p.Changed = z
			p.RecordAs(recorded, z.Name, name, e.ID, message.WordText(old), message.WordText(word))
		}
		if err := passOver(p, recorded, z, name, e.ID); err != nil {
			return nil, err
		}
		return &pb.SetEndpointWordResponse{Word: message.Word(word), Change: &pb.Change{}}, nil
	})
}

// SetHostWord says something of a host, or takes it back.
func (s *Service) SetHostWord(ctx context.Context, in *pb.SetHostWordRequest) (out *pb.SetHostWordResponse, err error) {
	c, err := s.Authorize(ctx, access.HostWord, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	said, err := ReadSaying(c.Resource.Name, in, in.GetReason())
	if err != nil {
		return nil, err
	}
	defer said.EndMarker(c, &err)
	return call.Change(c, func(p *call.Plan) (*pb.SetHostWordResponse, error) {
		z, h, err := p.Host(name, "")
		if err != nil {
			return nil, err
		}
		old, err := p.HostWord(z, name)
		if err != nil {
			return nil, err
		}
		word, err := said.Word(p, old)
		if err != nil {
			return nil, err
		}
		if MayTakeAway(old, word) {
			if err := guard.Host(p, z, h, in.GetConfirmLast(), guard.OfHost(word), h.Data.Host); err != nil {
				return nil, err
			}
		}
		if word != old {
			p.PutHostWord(z, name, word)
			p.Changed = z
			p.Record(z.Name, name, "", message.WordText(old), message.WordText(word))
		}
		if err := passOver(p, c.Action, z, name, ""); err != nil {
			return nil, err
		}
		return &pb.SetHostWordResponse{Word: message.Word(word), Change: &pb.Change{}}, nil
	})
}

// passOver takes back that endpoints are passed over: an operator has spoken.
func passOver(p *call.Plan, action access.Action, z *model.Zone, host model.Name, id string) error {
	overs, err := p.Overs(z, host)
	if err != nil {
		return err
	}
	for of := range overs {
		if id == "" || of == id {
			p.PutOver(z, host, of, nil)
			if p.Changed = z; len(p.Audits) == 0 {
				p.RecordAs(action, z.Name, host, of, "passed over", "")
			}
		}
	}
	return nil
}

// Saying is a word as a request says it.
type Saying struct {
	say    model.Saying // SayNothing: auto
	reason string
	span   time.Duration // 0: until it is taken back
	marker string        // whose end ends the timed word that is said
	former string        // of the word in whose place it is
}

var sayings = map[string]model.Saying{"up": model.SayUp, "down": model.SayDown, "drain": model.SayDrain, "auto": model.SayNothing}

// ReadSaying reads a word. Errors are of kind Invalid.
func ReadSaying(of model.Name, in interface {
	GetSay() string
	GetFor() *durationpb.Duration
}, reason string) (*Saying, error) {
	w := &Saying{say: sayings[in.GetSay()], reason: reason}
	if in.GetFor() == nil {
		return w, nil
	}
	bad := func(why string) (*Saying, error) {
		return w, model.E(model.Invalid, "say "+in.GetSay()+" of", of.Text()).In("for").Because(why)
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

// Word is what is said, in the place of old: nil to say nothing, and old itself when that
// says the same without an end.
func (s *Saying) Word(p *call.Plan, old *model.Word) (*model.Word, error) {
	c := p.Call
	self := c.Who.Kind == access.EndpointSecret
	if s.former = ""; old != nil {
		s.former = old.Marker
	}
	switch {
	case s.say == model.SayNothing:
		return nil, nil
	case old != nil && s.span == 0 && old.Marker == "" && old.Say == s.say && old.Reason == s.reason && old.Self == self:
		return old, nil
	}
	now := c.Desk.Now().UTC().Truncate(time.Second)
	w := &model.Word{Say: s.say, Reason: s.reason, By: c.Who.String(), Self: self, Time: now}
	if s.span == 0 {
		return w, nil
	}
	w.ExpireTime = now.Add(s.span)
	if s.marker == "" { // one for all tries
		if err := c.PaceWrite(p); err != nil {
			return nil, err
		}
		var err error
		if s.marker, err = c.Desk.Store.Marker(c.Ctx, s.span); err != nil {
			return nil, err
		}
	}
	w.Marker = s.marker
	return w, nil
}

// EndMarker ends the marker of the word that was taken back, or of the one that could not
// be said: nothing waits for it any more.
func (s *Saying) EndMarker(c *call.Call, err *error) {
	id := s.former
	if *err != nil {
		id = s.marker
	}
	if id == "" || *err != nil && model.KindOf(*err) == model.Unavailable {
		return // it may be needed
	}
	c.Desk.Store.EndMarker(context.WithoutCancel(c.Ctx), id)
}

func takesAway(w *model.Word) bool {
	return w != nil && (w.Say == model.SayDown || w.Say == model.SayDrain)
}

// MayTakeAway reports whether less may be offered with a word in the place of another: also
// taking back what has put something up may leave nothing.
func MayTakeAway(old, word *model.Word) bool {
	return word != old && !takesAway(old) && (word == nil || takesAway(word))
}

func durationMessage(d time.Duration) *durationpb.Duration { return durationpb.New(d) }
