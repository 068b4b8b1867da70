// Package standing answers one question: what is said of a host's endpoints at one
// revision? What follows from it, zone.Choose says.
package standing

import (
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// Of reads all that is said of a host. What is decided on it stands only on what is still
// so at commit.
func Of(tx *store.Tx, z *model.Zone, name model.Name) (*zone.Said, error) {
	j, err := tx.Judged(z, name)
	if err != nil {
		return nil, err
	}
	said := &zone.Said{
		Incarnation: z.Incarnation, Checkers: j.Checkers, Sites: j.SiteWords, Host: j.HostWord, Endpoints: j.EndpointWords, Overs: j.Overs,
	}
	for id, votes := range j.Votes {
		for _, v := range votes {
			v.Endpoint = id
			said.Votes = append(said.Votes, *v)
		}
	}
	return said, nil
}

// Choose is what is answered of a host, and why, with all that is said of it.
func Choose(tx *store.Tx, z *model.Zone, name model.Name, h *model.Host) (zone.Choice, *zone.Said, error) {
	said, err := Of(tx, z, name)
	if err != nil {
		return zone.Choice{}, nil, err
	}
	return zone.Choose(h, said), said, nil
}
