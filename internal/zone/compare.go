package zone

import (
	"iter"

	"signpost/internal/model"
)

// Compare counts the keys by which the view differs from a state, of which all
// yields each key once with its mod revision; nothing else of it is looked at. Of a
// zone that the guard holds it is what is set aside that is compared. It fails only
// with an error from all.
func (v *View) Compare(all iter.Seq2[model.Change, error]) (differences int, err error) {
	same := 0
	for c, err := range all {
		if err != nil {
			return 0, err
		}
		if v.mod(c.Key) == c.ModRevision {
			same++
		} else {
			differences++
		}
	}
	// What the view has and the state has not differs too; a key with another mod
	// revision counts twice.
	return differences + v.keys() - same, nil
}

// mod is a key's mod revision, 0 when there is none.
func (v *View) mod(k model.Key) int64 {
	if k.Kind == model.AllRevKey {
		return v.all.mod
	}
	if isCommon(k.Kind) {
		return v.common.of().mod(k)
	}
	s, ok := v.slots.find(string(k.Zone))
	if !ok {
		return 0
	}
	switch k.Kind {
	case model.ZoneRevKey:
		return s.rev.mod
	case model.AcceptKey:
		return s.accept.mod
	case model.ZoneKey:
		return s.mod
	case model.NameKey:
		n := s.gen(k.Generation)
		if e, ok := n.t.find(relative(k.Name, k.Zone)); ok && e.is(stored) {
			return e.mod()
		}
	default:
		if of, ok := s.said.find(relative(k.Name, k.Zone)); ok && isSaid(k.Kind) {
			return of.mod(k)
		}
	}
	return 0
}

// keys is how many keys the view has taken in.
func (v *View) keys() int {
	n, _ := v.common.of().counts()
	n += present(v.all.mod)
	for s := range v.slots.all() {
		n += s.keys + present(s.rev.mod) + present(s.accept.mod) + present(s.mod)
		for _, g := range s.gens {
			n += g.names.stored
		}
	}
	return n
}

func present(mod int64) int {
	if mod == 0 {
		return 0
	}
	return 1
}
