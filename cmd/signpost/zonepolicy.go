package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	pb "signpost/proto/signpost/v1"
)

// policyFlags say who may do what in a zone.
type policyFlags struct {
	admins, groups, reserved []string
	register                 string
	depth, quota, changes    uint32
	records, octets, names   uint32
	quarantine, lease        timeSpan
	private                  onOff
	f                        *pflag.FlagSet
}

func (p *policyFlags) add(cmd *cobra.Command) {
	p.f = cmd.Flags()
	p.f.StringVar(&p.register, "register", "", "who may register names: everyone (who is logged in), groups or nobody")
	p.f.StringArrayVar(&p.groups, "group", nil, "with --register groups: whose members may; may be given again, \"\" for none")
	p.f.StringArrayVar(&p.admins, "admin", nil, "a person or group who administers the zone; may be given again, \"\" for none")
	p.f.StringArrayVar(&p.reserved, "reserved", nil, "a pattern of labels that only administrators register; may be given again, \"\" for none, default for the usual ones")
	p.f.Uint32Var(&p.depth, "depth", 0, "how many labels below the zone names may be registered; 0: the default, 1")
	p.f.Uint32Var(&p.quota, "quota", 0, "how many hosts one owner may have in the zone; 0: the default, 100")
	p.f.Uint32Var(&p.changes, "max-changes", 0, "how many changes a minute one principal may make in the zone; 0: the default, 60")
	p.f.Var(&p.quarantine, "quarantine", "for how long a deleted host's name is kept for its former owner, such as 30d; 0: not at all")
	p.f.Var(&p.lease, "lease", "within which time hosts must be refreshed to be answered, such as 60d; 0: they need not")
	p.f.Uint32Var(&p.records, "max-records", 0, "how many records owners put into a set; 0: the default, 20")
	p.f.Uint32Var(&p.octets, "max-octets", 0, "how many octets of data owners keep at and below a host; 0: the default, 8192")
	p.f.Uint32Var(&p.names, "max-names", 0, "how many names owners make below a host; 0: the default, 20")
	p.f.Var(&p.private, "private-addresses", "let hosts have private addresses (RFC 1918, RFC 6598, RFC 4193); they may by default")
	_ = cmd.RegisterFlagCompletionFunc("register", cobra.FixedCompletions([]string{"everyone", "groups", "nobody"}, cobra.ShellCompDirectiveNoFileComp))
}

// request is what the flags that were given change; nil: nothing.
func (p *policyFlags) request(zone, etag string) *pb.UpdateZonePolicyRequest {
	in := &pb.UpdateZonePolicyRequest{Name: zone, Etag: etag}
	any := false
	given := func(flag string) bool {
		any = any || p.f.Changed(flag)
		return p.f.Changed(flag)
	}
	if given("register") {
		in.Register = &p.register
	}
	if given("group") {
		in.Groups = listOf(p.groups)
	}
	if given("admin") {
		in.Admins = listOf(p.admins)
	}
	if given("reserved") {
		if in.DefaultReserved = len(p.reserved) == 1 && p.reserved[0] == "default"; !in.DefaultReserved {
			in.Reserved = listOf(p.reserved)
		}
	}
	if given("depth") {
		in.Depth = &p.depth
	}
	if given("quota") {
		in.MaxHosts = &p.quota
	}
	if given("max-changes") {
		in.MaxChanges = &p.changes
	}
	if given("max-records") {
		in.MaxRecords = &p.records
	}
	if given("max-octets") {
		in.MaxOctets = &p.octets
	}
	if given("max-names") {
		in.MaxNames = &p.names
	}
	in.Quarantine, in.Lease, in.PrivateAddresses = p.quarantine.optional(), p.lease.optional(), p.private.optional()
	if !any && in.Quarantine == nil && in.Lease == nil && in.PrivateAddresses == nil {
		return nil
	}
	return in
}

// listOf is the words without empty ones, which stand for none.
func listOf(words []string) *pb.Words {
	out := &pb.Words{}
	for _, w := range words {
		if w != "" {
			out.Values = append(out.Values, w)
		}
	}
	return out
}

func policyRows(p *pb.ZonePolicy) [][]string {
	register := p.GetRegister()
	if register == "groups" {
		register = "members of " + orDash(strings.Join(p.GetGroups(), " "))
	}
	return [][]string{
		{"administrators", orDash(strings.Join(p.GetAdmins(), " "))},
		{"may register", register},
		{"reserved", orDash(strings.Join(p.GetReserved(), " "))},
		{"depth", strconv.FormatUint(uint64(p.GetDepth()), 10) + " labels"},
		{"quota", strconv.FormatUint(uint64(p.GetMaxHosts()), 10) + " hosts of one owner"},
		{"private addresses", yesNo(p.GetPrivateAddresses())},
		{"quarantine", orNone(p.GetQuarantine())},
		{"lease", orNone(p.GetLease())},
		{"host bounds", fmt.Sprintf("%d records in a set, %d octets of data, %d names below it", p.GetMaxRecords(), p.GetMaxOctets(), p.GetMaxNames())},
		{"pace", strconv.FormatUint(uint64(p.GetMaxChanges()), 10) + " changes a minute of one principal"},
		{"policy etag", orDash(strings.Trim(p.GetEtag(), `"`))},
	}
}

func orNone(seconds uint32) string {
	if seconds == 0 {
		return "none"
	}
	return span(seconds)
}
