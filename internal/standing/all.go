package standing

import (
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// Everything is what is said of all hosts, for those who look at many: but for marks of
// being passed over, which take nothing down.
type Everything struct {
	checkers []model.Checker
	sites    map[string]*model.Word
	hosts    map[store.HostAt]*aside
}

// aside is what is said of one host.
type aside struct {
	host      *model.Word
	endpoints map[string]*model.Word
	votes     []model.Vote
}

// All reads it. Who changes something on it has one comparison stand for it, with
// tx.OfZonesBelow.
func All(tx *store.Tx) (*Everything, error) {
	e := &Everything{sites: map[string]*model.Word{}, hosts: map[store.HostAt]*aside{}}
	of := func(k model.Key) *aside {
		at := store.HostAt{Zone: k.Zone, Name: k.Name}
		if e.hosts[at] == nil {
			e.hosts[at] = &aside{endpoints: map[string]*model.Word{}}
		}
		return e.hosts[at]
	}
	for c, err := range tx.EachSaid() {
		if err != nil {
			return nil, err
		}
		switch c.Key.Kind {
		case model.SiteWordKey:
			e.sites[c.Key.Site] = c.Word
		case model.HostWordKey:
			of(c.Key).host = c.Word
		case model.EndpointWordKey:
			of(c.Key).endpoints[c.Key.Endpoint] = c.Word
		case model.VoteKey:
			if v := c.Vote; v.Verdict != model.Up { // which is as good as none
				v.Endpoint = c.Key.Endpoint
				h := of(c.Key)
				h.votes = append(h.votes, *v)
			}
		case model.CheckerKey:
			e.checkers = append(e.checkers, *c.Checker)
		}
	}
	return e, nil
}

// Of is what is said of one host.
func (e *Everything) Of(z *model.Zone, name model.Name) *zone.Said {
	said := &zone.Said{Incarnation: z.Incarnation, Checkers: e.checkers, Sites: e.sites}
	if h := e.hosts[store.HostAt{Zone: z.Name, Name: name}]; h != nil {
		said.Host, said.Endpoints, said.Votes = h.host, h.endpoints, h.votes
	}
	return said
}
