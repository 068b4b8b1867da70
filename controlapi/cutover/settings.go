package cutover

import (
	"context"
	"slices"
	"strings"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/controlapi/zones"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// ImportZoneSettings brings who could do what in a zone of another service.
func (s *Service) ImportZoneSettings(ctx context.Context, in *pb.ImportZoneSettingsRequest) (out *pb.ImportZoneSettingsResponse, err error) {
	c, err := s.Authorize(ctx, access.CutoverImport, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	zone, err := facts.ParseName("zone", in.GetZone())
	if err != nil {
		return nil, err
	}
	there := &model.FormerSettings{}
	if in.GetRegister() != "" {
		if there.Register, err = model.ParseRegister("register", in.GetRegister()); err != nil {
			return nil, err
		}
	}
	if there.Admins, err = rules.PrincipalNames("admins", in.GetAdmins()); err != nil {
		return nil, err
	}
	if there.Groups, err = rules.PrincipalNames("groups", in.GetGroups()); err != nil {
		return nil, err
	}
	for _, r := range in.GetReserved() {
		there.Reserved = append(there.Reserved, strings.ToLower(r))
	}
	decide := func(p *call.Plan) (*pb.ImportZoneSettingsResponse, error) {
		i, err := newImporting(p, zone, in.GetDryRun())
		if err != nil {
			return nil, err
		}
		p.Changed = nil // no answer changes
		r, err := i.settings(there)
		return &pb.ImportZoneSettingsResponse{Change: &pb.Change{}, Result: r}, err
	}
	if in.GetDryRun() {
		return rehearse(c, decide)
	}
	return call.Change(c, decide)
}

// settings plans what becomes of a zone's policy, on the rows of fork.
func (i *importing) settings(there *model.FormerSettings) (*pb.ImportedName, error) {
	r := &pb.ImportedName{Fqdn: i.zone.Name.Text(), Outcome: "unchanged"}
	before, err := i.Imported(i.zone, i.zone.Name)
	if err != nil {
		return nil, err
	}
	if before == nil {
		before = &model.Imported{}
	}
	was := before.Settings
	if was == nil {
		was = &model.FormerSettings{}
	}
	old, err := i.Policy(i.zone)
	if err != nil {
		return nil, err
	}
	in := &pb.UpdateZonePolicyRequest{}
	take := func(what string, as fork, is, then string, do func()) {
		switch as {
		case taken:
			do()
			r.Changes = append(r.Changes, what+" "+orNone(then))
		case kept:
			r.Kept = append(r.Kept, what+": here "+orNone(is)+", there "+orNone(then))
		}
	}
	same := slices.Equal[[]model.PrincipalName]
	take("administrators", threeWays(same(there.Admins, was.Admins), same(there.Admins, old.Admins), same(old.Admins, was.Admins)),
		strings.Join(message.Words(old.Admins), " "), strings.Join(message.Words(there.Admins), " "), func() { in.Admins = &pb.Words{Values: message.Words(there.Admins)} })
	open := func(register model.Register, groups []model.PrincipalName) string {
		return strings.TrimSpace(register.String() + " " + strings.Join(message.Words(groups), " "))
	}
	nowOpen, wasOpen, isOpen := open(there.Register, there.Groups), open(was.Register, was.Groups), open(old.Register, old.Groups)
	take("register", threeWays(nowOpen == wasOpen, isOpen == nowOpen, isOpen == wasOpen), isOpen, nowOpen, func() {
		in.Register = new(there.Register.String())
		in.Groups = &pb.Words{Values: message.Words(there.Groups)}
	})
	take("reserved", threeWays(slices.Equal(there.Reserved, was.Reserved), slices.Equal(there.Reserved, old.Reserved), slices.Equal(old.Reserved, was.Reserved)),
		strings.Join(old.Reserved, " "), strings.Join(there.Reserved, " "), func() {
			in.Reserved = &pb.Words{Values: there.Reserved}
			in.DefaultReserved = len(there.Reserved) == 0
			if in.DefaultReserved {
				in.Reserved = nil
			}
		})
	if len(r.Changes) > 0 {
		next, err := zones.WithPolicy(*old, in, i.Call.Maker(), i.Call.Desk.Now())
		if err != nil {
			return nil, err
		}
		r.Outcome = "changed"
		i.PutPolicy(i.zone, next)
		i.RecordAs(access.ZoneOpen, i.zone.Name, "", "imported", message.DescribePolicy(old), message.DescribePolicy(next))
	}
	now := *before
	now.Settings = there
	now.Time = i.Call.Desk.Now().UTC().Truncate(time.Second)
	if before.Settings == nil || nowOpen != wasOpen || !same(there.Admins, was.Admins) || !slices.Equal(there.Reserved, was.Reserved) {
		i.PutImported(i.zone, i.zone.Name, &now)
	}
	return r, nil
}
