package store

import (
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"signpost/internal/model"
)

// Check reads how it is found out whether the endpoints of a host are up; nil: there is
// no check.
func (tx *Tx) Check(z *model.Zone, name model.Name) (*model.Check, error) {
	h, err := tx.one(tx.s.keys.check(z.Name, z.Incarnation, name))
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeCheck(h.value, h.mod)
}

// PutCheck writes a check; nil removes it. Answers change with what PutName says of it:
// that there is one, and new generations of the endpoints.
func (tx *Tx) PutCheck(z *model.Zone, name model.Name, c *model.Check) {
	var raw []byte
	if c != nil {
		raw = encodeCheck(c)
	}
	tx.replace(tx.s.keys.check(z.Name, z.Incarnation, name), raw)
}

// CountChecked is how many hosts of a principal have a check. A check that is set before
// the commit, whosever it is, makes the change be decided again: one comparison stands
// for all that was counted.
func (tx *Tx) CountChecked(principal string) (n int, err error) {
	held, err := tx.Holdings(principal)
	if err != nil {
		return 0, err
	}
	all := tx.s.keys.checks()
	tx.ranges = append(tx.ranges, span{all, prefixEnd(all)})
	err = tx.reads.inexactly(func() error {
		var keys []string
		for _, h := range held {
			z, err := tx.Zone(h.Zone)
			if err != nil && model.KindOf(err) != model.NotFound {
				return err
			}
			if err == nil && h.Owned && z.Incarnation == h.Incarnation { // else it went with its zone
				keys = append(keys, tx.s.keys.name(z.Name, z.Generation, h.Host))
			}
		}
		datas, err := tx.look(keys...)
		for _, d := range datas {
			name, err := nameOf(d)
			if err != nil {
				return err
			}
			if name != nil && name.Host != nil && name.Host.Checked {
				n++
			}
		}
		return err
	})
	return n, err
}

// Overs reads which endpoints of a host are marked as passed over, by their ids.
func (tx *Tx) Overs(z *model.Zone, name model.Name) (map[string]*model.Over, error) {
	out := map[string]*model.Over{}
	return out, tx.eachOf(tx.s.keys.overs()+hostPart(z.Name, name)+"/", func(id string, h held) (err error) {
		out[id], err = decodeOver(h.value, h.mod)
		return err
	})
}

// PutOver marks an endpoint as passed over; nil takes the mark away.
func (tx *Tx) PutOver(z *model.Zone, name model.Name, id string, o *model.Over) {
	tx.answers(z.Name)
	var raw []byte
	if o != nil {
		raw = encodeOver(o)
	}
	tx.replace(tx.s.keys.over(z.Name, name, id), raw)
}

// Checkers reads the registered checkers, by site.
func (tx *Tx) Checkers() ([]model.Checker, error) {
	var out []model.Checker
	return out, tx.eachOfAll(tx.s.keys.checkers(), func(site string, kv *mvccpb.KeyValue) error {
		c, err := decodeChecker(site, kv.Value, kv.ModRevision)
		if err == nil {
			out = append(out, *c)
		}
		return err
	})
}

// RemoveChecker takes the checker of a site out of the count, if it is in it. If it
// runs it registers anew, with another term; until then what it says does not count.
func (tx *Tx) RemoveChecker(site string) {
	tx.answersAll()
	tx.replace(tx.s.keys.checker(site), nil)
}

// Votes reads what the registered checkers say of the endpoints of a host, by ids of
// endpoints, each in the order of sites. Votes that this version cannot read are left
// out; those about other generations or of other terms are not. A vote that is new
// before the commit makes the change be decided again.
func (tx *Tx) Votes(z *model.Zone, name model.Name) (map[string][]*model.Vote, error) {
	checkers, err := tx.Checkers()
	if err != nil {
		return nil, err
	}
	out := map[string][]*model.Vote{}
	for _, c := range checkers {
		prefix := tx.s.keys.votes(c.Site) + hostPart(z.Name, name) + "/"
		kvs, err := tx.list(prefix, prefixEnd(prefix), 0)
		if err != nil {
			return nil, err
		}
		for _, kv := range kvs {
			id, err := parsePart(strings.TrimPrefix(string(kv.Key), prefix))
			if err != nil {
				return nil, err
			}
			if v, err := decodeVote(c.Site, id, kv.Value, kv.ModRevision); err == nil {
				out[id] = append(out[id], v)
			}
		}
	}
	return out, nil
}

// Judged is all that says which endpoints of a host are up.
type Judged struct {
	HostWord      *model.Word
	EndpointWords map[string]*model.Word // by id
	SiteWords     map[string]*model.Word // by site
	Checkers      []model.Checker
	Votes         map[string][]*model.Vote // by id of the endpoint
	Overs         map[string]*model.Over   // by id
	Freeze        *model.Freeze
}

// Judged reads all of it. What is decided on it stands only on what is still so at
// commit: nothing of it is newer.
func (tx *Tx) Judged(z *model.Zone, name model.Name) (j Judged, err error) {
	if j.HostWord, err = tx.HostWord(z, name); err != nil {
		return j, err
	}
	if j.EndpointWords, err = tx.EndpointWords(z, name); err != nil {
		return j, err
	}
	if j.SiteWords, err = tx.SiteWords(); err != nil {
		return j, err
	}
	if j.Checkers, err = tx.Checkers(); err != nil {
		return j, err
	}
	if j.Votes, err = tx.Votes(z, name); err != nil {
		return j, err
	}
	if j.Overs, err = tx.Overs(z, name); err != nil {
		return j, err
	}
	j.Freeze, err = tx.Freeze()
	return j, err
}

// Alone has the change committed in a transaction of its own, for one that must not be
// made beside another that it cannot see.
func (tx *Tx) Alone() { tx.alone = true }

// answersAll says that the answers of all zones change with this transaction, if it
// changes anything.
func (tx *Tx) answersAll() { tx.everywhere = true }
