package store

import (
	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

func encodeChecker(c *model.Checker) []byte {
	return encode(&storepb.Checker{Schema: 1, Term: c.Term, RegisterTime: seconds(c.RegisterTime)})
}

func decodeChecker(site string, raw []byte, rev int64) (*model.Checker, error) {
	var p storepb.Checker
	if err := decode("checker", raw, &p); err != nil {
		return nil, err
	}
	return &model.Checker{Site: site, Term: p.Term, RegisterTime: fromSeconds(p.RegisterTime), ModRevision: rev}, nil
}

func encodeVote(v *model.Vote) []byte {
	return encode(&storepb.Vote{
		Schema: 1, Generation: v.Generation, Term: v.Term, Verdict: uint32(v.Verdict), Reason: uint32(v.Reason), Time: seconds(v.Time),
	})
}

func decodeVote(site, id string, raw []byte, rev int64) (*model.Vote, error) {
	var p storepb.Vote
	if err := decode("vote", raw, &p); err != nil {
		return nil, err
	}
	v := &model.Vote{
		Site: site, Endpoint: id, Generation: p.Generation, Term: p.Term, Verdict: model.Verdict(p.Verdict), Reason: model.Reason(p.Reason),
		Time: fromSeconds(p.Time), ModRevision: rev,
	}
	if !v.Verdict.Known() || !v.Reason.Known() {
		return nil, errNotKnown("vote", "verdict or reason")
	}
	return v, nil
}

func encodeWord(w *model.Word) []byte {
	return encode(&storepb.Word{
		Schema: 1, Say: uint32(w.Say), Reason: w.Reason, By: w.By, Self: w.Self, Time: seconds(w.Time),
		ExpireTime: seconds(w.ExpireTime), Marker: w.Marker, Incarnation: w.Incarnation,
	})
}

func decodeWord(raw []byte, rev int64) (*model.Word, error) {
	var p storepb.Word
	if err := decode("word", raw, &p); err != nil {
		return nil, err
	}
	w := &model.Word{
		Say: model.Saying(p.Say), Reason: p.Reason, By: p.By, Self: p.Self, Time: fromSeconds(p.Time),
		ExpireTime: fromSeconds(p.ExpireTime), Marker: p.Marker, Incarnation: p.Incarnation, ModRevision: rev,
	}
	if w.Say <= model.SayNothing || w.Say > model.SayDrain {
		return nil, errNotKnown("word", "what it says")
	}
	return w, nil
}

func encodeOver(o *model.Over) []byte {
	return encode(&storepb.Over{Schema: 1, Generation: o.Generation, Time: seconds(o.Time)})
}

func decodeOver(raw []byte, rev int64) (*model.Over, error) {
	var p storepb.Over
	if err := decode("mark of what is passed over", raw, &p); err != nil {
		return nil, err
	}
	return &model.Over{Generation: p.Generation, Time: fromSeconds(p.Time), ModRevision: rev}, nil
}

func encodeFreeze(f *model.Freeze) []byte {
	return encode(&storepb.Freeze{Schema: 1, Reason: f.Reason, By: f.By, Time: seconds(f.Time)})
}

func decodeFreeze(raw []byte, rev int64) (*model.Freeze, error) {
	var p storepb.Freeze
	if err := decode("freeze switch", raw, &p); err != nil {
		return nil, err
	}
	return &model.Freeze{Reason: p.Reason, By: p.By, Time: fromSeconds(p.Time), ModRevision: rev}, nil
}

func encodeLife(l *model.CheckerLife) []byte {
	return encode(&storepb.CheckerLife{Schema: 1, Holder: l.Holder, StartTime: seconds(l.StartTime), Doubt: l.Doubt, Targets: l.Targets})
}

func decodeLife(raw []byte, rev int64) (*model.CheckerLife, error) {
	var p storepb.CheckerLife
	if err := decode("sign of life of a checker", raw, &p); err != nil {
		return nil, err
	}
	return &model.CheckerLife{Holder: p.Holder, StartTime: fromSeconds(p.StartTime), Doubt: p.Doubt, Targets: p.Targets, ModRevision: rev}, nil
}

func encodeBeat(generation uint64) []byte {
	return encode(&storepb.Beat{Schema: 1, Generation: generation})
}

func decodeBeat(raw []byte, rev int64) (*model.Beat, error) {
	var p storepb.Beat
	if err := decode("sign of life of an endpoint", raw, &p); err != nil {
		return nil, err
	}
	return &model.Beat{Generation: p.Generation, ModRevision: rev}, nil
}

// errNotKnown is of a value of a newer version, or of no version of ours.
func errNotKnown(what, field string) error {
	return model.E(model.Internal, "read stored "+what, "").Because("this version does not know its " + field).Hint("upgrade this binary")
}

// decodeJudged reads a value that only monitors follow, or that is said of endpoints.
func decodeJudged(c *model.Change) {
	switch rev, raw := c.ModRevision, c.Raw; c.Key.Kind {
	case model.CheckerKey:
		c.Checker, c.Bad = decodeChecker(c.Key.Site, raw, rev)
	case model.VoteKey:
		c.Vote, c.Bad = decodeVote(c.Key.Site, c.Key.Endpoint, raw, rev)
	case model.SiteWordKey, model.HostWordKey, model.EndpointWordKey:
		c.Word, c.Bad = decodeWord(raw, rev)
	case model.OverKey:
		c.Over, c.Bad = decodeOver(raw, rev)
	case model.FreezeKey:
		c.Freeze, c.Bad = decodeFreeze(raw, rev)
	case model.CheckKey:
		c.Check, c.Bad = decodeCheck(raw, rev)
	case model.LifeKey:
		c.Life, c.Bad = decodeLife(raw, rev)
	case model.BeatKey:
		c.Beat, c.Bad = decodeBeat(raw, rev)
	}
}
