package people

import (
	"context"
	"slices"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/hosts"
	"signpost/controlapi/message"
	"signpost/controlapi/tokens"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// GetPrincipal shows a person or a group.
func (s *Service) GetPrincipal(ctx context.Context, in *pb.GetPrincipalRequest) (out *pb.Principal, err error) {
	c, err := s.Authorize(ctx, access.PrincipalRead, access.Resource{Owner: in.GetName()}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := principalName(c, in.GetName())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) (err error) {
		out, err = principalMessage(c, tx, name)
		return err
	})
	return out, err
}

// principalName reads whom a call is about. Errors: Invalid; Precondition when it is the
// caller, who is no person.
func principalName(c *call.Call, text string) (model.PrincipalName, error) {
	if text != "" {
		return model.ParsePrincipalName("name", text)
	}
	if c.Who.Kind != access.User {
		return "", model.E(model.Precondition, string(c.Action), "").In("name").Because("you are " + c.Who.String() + ", which is no person").
			Hint("say whom you mean, written ISSUER/SUBJECT")
	}
	return c.Who.Person, nil
}

func principalMessage(c *call.Call, tx *store.Tx, name model.PrincipalName) (*pb.Principal, error) {
	is := access.Principal{Kind: access.User, Person: name}
	out := &pb.Principal{Name: string(name), State: "active"}
	if !name.IsGroup() {
		owner, err := tx.TokenOwner(name)
		if err != nil {
			return nil, err
		}
		if is.Groups, out.GroupsTime = owner.Groups, message.Time(owner.LoginTime); name == c.Who.Person && c.Who.Narrow == nil {
			is.Groups, out.GroupsTime = c.Who.Groups, message.Time(c.Desk.Now()) // their provider says so now
		}
		shown, err := tokens.Shown(c, tx, name)
		if err != nil {
			return nil, err
		}
		for _, t := range shown {
			if t.State == model.TokenActive {
				out.TokenIds = append(out.TokenIds, t.ID)
			}
		}
		why, err := tx.Disabled(name)
		if err != nil {
			return nil, err
		}
		if out.Disabled = message.Withdrawal(why); why != nil {
			out.State = "disabled"
		}
	}
	out.Groups = message.Words(is.Groups)
	out.Operator = is.Among(c.Desk.Operators)
	if is.Among(c.Desk.Barred.Principals) {
		out.State = "barred"
	}
	owned, edited, err := countHeld(tx, is, c.Desk)
	out.HostsOwned, out.HostsEdited = int32(owned), int32(edited)
	return out, err
}

// countHeld is how many hosts somebody owns, and how many others they may edit, by name or
// by a group.
func countHeld(tx *store.Tx, who access.Principal, s *call.Desk) (owned, edited int, err error) {
	zones := map[model.Name]*model.Zone{}
	seen := map[store.Holding]bool{}
	for _, name := range append([]string{who.Name()}, message.Words(who.Groups)...) {
		held, err := tx.Holdings(name)
		if err != nil {
			return 0, 0, err
		}
		for _, h := range held {
			mine := h.Owned
			if h.Owned = false; seen[h] || len(seen) >= hosts.MaxLooked && !mine {
				continue
			}
			seen[h] = true
			z, known := zones[h.Zone]
			if !known {
				if z, err = tx.Zone(h.Zone); err != nil && model.KindOf(err) != model.NotFound {
					return 0, 0, err
				}
				zones[h.Zone] = z
			}
			switch {
			case z == nil || z.Incarnation != h.Incarnation: // it went with its zone and is swept away
			case mine:
				owned++
			default:
				stands, err := stillEdits(tx, who, z, h.Host, s)
				if err != nil {
					return 0, 0, err
				}
				if stands {
					edited++
				}
			}
		}
	}
	return owned, edited, nil
}

// stillEdits reports whether somebody may edit a host of which they are in the list: what
// gave it to them may have ended.
func stillEdits(tx *store.Tx, who access.Principal, z *model.Zone, name model.Name, s *call.Desk) (bool, error) {
	path, err := tx.Path(z, name)
	if err != nil {
		return false, err
	}
	h, err := facts.Standing(tx, path[0].Host, s.Now())
	return err == nil && h != nil && slices.ContainsFunc(h.Editors, func(e model.PrincipalName) bool { return e == who.Person || slices.Contains(who.Groups, e) }), err
}
