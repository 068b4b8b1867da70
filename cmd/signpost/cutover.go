package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"signpost/internal/cutover"
	"signpost/internal/cutover/axfr"
	"signpost/internal/cutover/dump"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

func (c *cli) importing() *cobra.Command {
	return group("import", "Take over from another service, for operators", "", c.importNsupdate())
}

// cutoverFlags is what the command is told.
type cutoverFlags struct {
	zoneFiles, servers, issuers, vos, skip []string
	keyFile, orphans                       string
	apply, dryRun, removeGone, all         bool
}

func (c *cli) importNsupdate() *cobra.Command {
	f := &cutoverFlags{}
	cmd := &cobra.Command{
		Use:   "nsupdate DUMP",
		Short: "Import a dump of nsupdate.info; DUMP may be - for standard input",
		Long: `Take over hosts, domains and all that belongs to them from a service that runs
nsupdate.info. DUMP is what its manage.py dumpdata wrote; addresses and all other records
are in its zones, which are given as files or transferred.

Without --apply nothing is written: it is said what would be. Given again, it brings what
has changed there since; what was changed here stays. When it is interrupted, give the same
command again: it goes on.`,
		Example: `  signpost import nsupdate dump.json --axfr dyn.example.org=192.0.2.53 \
      --issuer egi=https://aai.egi.eu/auth/realms/egi --orphans egi/0123@egi.eu`,
		Args: takes(1, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.zoneFiles, "zone-file", nil, "ZONE=FILE: what a domain holds (RFC 1035); once for each domain")
	fs.StringArrayVar(&f.servers, "axfr", nil, "ZONE=SERVER[:PORT]: transfer it from there")
	fs.StringVar(&f.keyFile, "tsig-key-file", "", "sign transfers with the key in this file, as tsig-keygen writes it")
	fs.StringArrayVar(&f.issuers, "issuer", nil, "PROVIDER=ISSUER: a provider of the dump is this issuer, a URL or its name here")
	fs.StringVar(&f.orphans, "orphans", "", "the person who gets what belongs to people without an account at an --issuer")
	fs.StringArrayVar(&f.vos, "vo", nil, "VO=GROUP: a virtual organisation becomes this group; may be given several times for one")
	fs.StringArrayVar(&f.skip, "skip-domain", nil, "leave a domain out, with its hosts")
	fs.BoolVar(&f.apply, "apply", false, "write it")
	fs.BoolVar(&f.dryRun, "dry-run", false, "only say what would be done, which is the default")
	fs.BoolVar(&f.removeGone, "remove-gone", false, "also remove what was imported before, is not there any more, and was not changed here")
	fs.BoolVar(&f.all, "all", false, "print all lines of long lists")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error { return c.cutOver(ctx, s, f, args[0]) })
	return unhurried(cmd)
}

func (c *cli) cutOver(ctx context.Context, s *service, f *cutoverFlags, file string) error {
	if f.apply && f.dryRun {
		return badUsage("give one of --apply and --dry-run")
	}
	plan, err := c.cutoverPlan(ctx, s, f, file)
	if err != nil {
		return err
	}
	i := &cutoverImport{cli: c, service: s, flags: f, plan: plan, report: &cutoverReport{Notes: plan.Notes, Applied: f.apply, Hosts: plan.Hosts}}
	if len(plan.Orphans) > 0 && f.orphans == "" {
		if err := c.cutoverSaid(i.report, f.all); err != nil {
			return err
		}
		return fmt.Errorf("%d people of the dump who own something have no account at an issuer that was given (%s); give --orphans ISSUER/SUBJECT for who gets it, or --issuer for theirs",
			len(plan.Orphans), shortened(plan.Orphans))
	}
	err = i.run(ctx)
	return errors.Join(c.cutoverSaid(i.report, f.all), err)
}

func shortened(list []string) string {
	if len(list) > 5 {
		return strings.Join(list[:5], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}

// cutoverPlan reads what is given. Errors say which object, line or zone is wrong.
func (c *cli) cutoverPlan(ctx context.Context, s *service, f *cutoverFlags, file string) (*cutover.Plan, error) {
	o := cutover.Options{Zones: map[model.Name]*model.ZoneFile{}, Issuers: map[string]string{}, Groups: map[string][]model.PrincipalName{}, Orphans: model.PrincipalName(f.orphans)}
	var err error
	if f.orphans != "" {
		if o.Orphans, err = model.ParsePrincipalName("orphans", f.orphans); err != nil || o.Orphans.IsGroup() {
			return nil, badUsage("--orphans: give a person, as ISSUER/SUBJECT")
		}
	}
	if err := c.cutoverIssuers(ctx, s, f, &o); err != nil {
		return nil, err
	}
	for _, text := range f.skip {
		n, err := model.ParseName(text)
		if err != nil {
			return nil, badUsage("--skip-domain " + text + ": it is no domain name")
		}
		o.Skip = append(o.Skip, n)
	}
	for _, text := range f.vos {
		at := strings.LastIndexByte(text[:len(text)-len(afterGroup(text))], '=')
		if at <= 0 {
			return nil, badUsage("--vo " + text + ": write VO=group:ISSUER/GROUP")
		}
		g, err := model.ParsePrincipalName("vo", text[at+1:])
		if err != nil || !g.IsGroup() {
			return nil, badUsage("--vo " + text + ": write the group as group:ISSUER/GROUP")
		}
		o.Groups[text[:at]] = append(o.Groups[text[:at]], g)
	}
	if err := c.cutoverZones(ctx, f, &o); err != nil {
		return nil, err
	}
	from, err := c.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }() // it was only read
	d, err := dump.Read(from)
	if err != nil {
		return nil, err
	}
	return cutover.Make(d, o)
}

// afterGroup is the last "group:…" of a text: groups may have a "=" in them (role=member).
func afterGroup(text string) string {
	at := strings.LastIndex(text, "=group:")
	if at < 0 {
		return ""
	}
	return text[at+1:]
}

// cutoverIssuers finds the names here of the issuers that are given.
func (c *cli) cutoverIssuers(ctx context.Context, s *service, f *cutoverFlags, o *cutover.Options) error {
	var all []*pb.Issuer
	for n, text := range f.issuers {
		provider, issuer, ok := strings.Cut(text, "=")
		if !ok || provider == "" || issuer == "" {
			return badUsage("--issuer " + text + ": write PROVIDER=URL, as egi=https://aai.egi.eu/auth/realms/egi")
		}
		alias := issuer
		if strings.Contains(issuer, "://") {
			if all == nil {
				answer, err := s.ListIssuers(ctx, &pb.ListIssuersRequest{})
				if err != nil {
					return err
				}
				all = answer.GetIssuers()
			}
			at := slices.IndexFunc(all, func(i *pb.Issuer) bool {
				return strings.TrimSuffix(i.GetUrl(), "/") == strings.TrimSuffix(issuer, "/")
			})
			if at < 0 {
				known := make([]string, len(all))
				for i, k := range all {
					known[i] = k.GetName() + " " + k.GetUrl()
				}
				return fmt.Errorf("--issuer %s: nobody logs in here at %s (known: %s); give the name that the configuration has for it, as --issuer %s=NAME", text, issuer, orDash(strings.Join(known, ", ")), provider)
			}
			alias = all[at].GetName()
		}
		if err := model.CheckIssuerAlias(alias); err != nil {
			return badUsage("--issuer " + text + ": " + err.Error())
		}
		if _, twice := o.Issuers[provider]; twice {
			return badUsage("--issuer: " + provider + " is given twice")
		}
		o.Issuers[provider] = alias
		if n == 0 {
			o.GroupIssuer = alias
		}
	}
	return nil
}

// cutoverZones reads or transfers what domains hold.
func (c *cli) cutoverZones(ctx context.Context, f *cutoverFlags, o *cutover.Options) error {
	take := func(flag, text string, open func(model.Name, string) (io.ReadCloser, error)) error {
		zone, from, ok := strings.Cut(text, "=")
		name, err := model.ParseName(zone)
		if !ok || from == "" || err != nil || zone == "" {
			return badUsage(flag + " " + text + ": write ZONE=" + map[string]string{"--axfr": "SERVER"}[flag] + map[string]string{"--zone-file": "FILE"}[flag])
		}
		if o.Zones[name] != nil {
			return badUsage(flag + " " + text + ": the zone is given twice")
		}
		r, err := open(name, from)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }() // it was only read
		file, err := model.ReadZoneFile(r, name, model.ReadOptions{Order: model.CompareNames})
		if err != nil {
			return fmt.Errorf("%s %s: %w", flag, text, err)
		}
		o.Zones[name] = file
		return nil
	}
	for _, text := range f.zoneFiles {
		if err := take("--zone-file", text, func(_ model.Name, from string) (io.ReadCloser, error) { return os.Open(from) }); err != nil {
			return err
		}
	}
	var key *axfr.Key
	if f.keyFile != "" {
		if len(f.servers) == 0 {
			return badUsage("--tsig-key-file: there is no --axfr that it would sign")
		}
		r, err := os.Open(f.keyFile)
		if err != nil {
			return err
		}
		key, err = axfr.ReadKey(r)
		_ = r.Close() // it was only read
		if err != nil {
			return fmt.Errorf("--tsig-key-file %s: %w", f.keyFile, err)
		}
	}
	for _, text := range f.servers {
		if err := take("--axfr", text, func(zone model.Name, server string) (io.ReadCloser, error) {
			var b strings.Builder
			err := axfr.Transfer(ctx, zone, server, key, &b)
			return io.NopCloser(strings.NewReader(b.String())), err
		}); err != nil {
			return err
		}
	}
	return nil
}
