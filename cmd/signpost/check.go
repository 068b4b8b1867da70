package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) check() *cobra.Command {
	return group("check", "How it is found out whether the endpoints of a host are up: set, show, remove", "", c.checkSet(), c.checkShow(), c.checkRemove())
}

var checkKinds = []string{"tcp", "http", "https", "grpc", "dns", "heartbeat"}

func (c *cli) checkSet() *cobra.Command {
	in := &pb.SetCheckRequest{}
	var interval, timeout time.Duration
	var port, fall, rise uint32
	var tls, anyCertificate onOff
	cmd := &cobra.Command{
		Use: "set FQDN tcp|http|https|grpc|dns|heartbeat", Short: "Have the endpoints of a host checked; what is not given gets its default", Args: takes(2, 2),
		Long: `Have the endpoints of a host checked from the sites, whose checkers vote: an endpoint is
down when more than half of them say so. With a heartbeat check, the agent on the
endpoint's machine sends signs of life.`,
		Example: "  signpost check set www.fedcloud.test https --path /healthz --expect 200,429\n  signpost check set db.fedcloud.test tcp --port 5432",
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return checkKinds, cobra.ShellCompDirectiveNoFileComp
		}
		return c.hostNames(cmd, args, begun)
	}
	f := cmd.Flags()
	f.Uint32Var(&port, "port", 0, "the port; of http 80, of https 443, of dns 53 if not given")
	f.StringVar(&in.Path, "path", "", "of http and https, with its query (default /)")
	f.StringVar(&in.Host, "host", "", "the Host header of http and https, the authority of grpc (default: the host's name)")
	f.StringVar(&in.Expect, "expect", "", "HTTP statuses that are fine, such as 200,429 or 200-399 (default 200-299)")
	f.StringVar(&in.Text, "text", "", "what the body of http and https must have in its first 4 KiB")
	switchFlag(f, &tls, "tls", "grpc speaks over TLS")
	switchFlag(f, &anyCertificate, "any-certificate", "certificates that are expired, for another name or not trusted will do")
	f.StringVar(&in.ServerName, "server-name", "", "the name that TLS asks for (default: that of --host)")
	f.StringVar(&in.Service, "service", "", "what a grpc check asks about (default: the whole server)")
	f.StringVar(&in.Query, "query", "", "the name that a dns check asks for (default: the host's)")
	f.StringVar(&in.QueryType, "query-type", "", "and the type (default SOA)")
	f.Uint32Var(&in.Rcode, "rcode", 0, "the DNS response code that is fine: 0 NOERROR, 3 NXDOMAIN, 5 REFUSED")
	f.DurationVar(&interval, "interval", 0, "between two attempts, 1s to 5m (default 5s; less is for the zone's administrators)")
	f.DurationVar(&timeout, "timeout", 0, "how long an attempt may take (default 2s)")
	f.Uint32Var(&fall, "fall", 0, "so many failures in a row are down (default 3)")
	f.Uint32Var(&rise, "rise", 0, "so many successes in a row are up again (default 3)")
	f.StringArrayVar(&in.From, "from", nil, "a site whose checker judges; may be given again (default: all)")
	etagFlag(cmd, &in.Etag)
	plain(cmd, "port", "path", "host", "expect", "text", "server-name", "service", "query", "query-type", "rcode", "interval", "timeout", "fall", "rise", "from")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Kind, in.Tls, in.AnyCertificate = args[0], args[1], tls.on, anyCertificate.on
		given(f, "port", &in.Port, port)
		given(f, "fall", &in.Fall, fall)
		given(f, "rise", &in.Rise, rise)
		if f.Changed("interval") {
			in.Interval = durationpb.New(interval)
		}
		if f.Changed("timeout") {
			in.Timeout = durationpb.New(timeout)
		}
		answer, err := s.SetCheck(ctx, in)
		if err != nil {
			return err
		}
		for _, w := range answer.GetWarnings() {
			c.complain("warning: " + w)
		}
		return c.done("set check of "+answer.GetCheck().GetFqdn(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) checkShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show FQDN", Short: "Show how a host's endpoints are checked", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		k, err := s.GetCheck(ctx, &pb.GetCheckRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(k)
		}
		return table(c.out, append([][]string{{"host", k.GetFqdn()}}, append(checkRows(k), []string{"etag", strings.Trim(k.GetEtag(), `"`)})...))
	})
	return cmd
}

// checkRows is what a check of its kind has.
func checkRows(k *pb.Check) [][]string {
	rows := [][]string{{"kind", k.GetKind()}}
	add := func(word, value string) {
		if value != "" {
			rows = append(rows, []string{word, value})
		}
	}
	if k.GetPort() != 0 {
		add("port", decimal(k.GetPort()))
	}
	add("path", k.GetPath())
	add("host header", k.GetHost())
	add("expect", k.GetExpect())
	add("text", k.GetText())
	if k.GetTls() {
		add("tls", "yes")
	}
	if k.GetAnyCertificate() {
		add("certificate", "any")
	}
	add("server name", k.GetServerName())
	add("service", k.GetService())
	add("query", strings.TrimSpace(k.GetQuery()+" "+k.GetQueryType()))
	if k.GetRcode() != 0 {
		add("rcode", decimal(k.GetRcode()))
	}
	add("interval", k.GetInterval().AsDuration().String())
	if k.GetTimeout() != nil {
		add("timeout", k.GetTimeout().AsDuration().String())
	}
	add("fall", decimal(k.GetFall()))
	add("rise", decimal(k.GetRise()))
	add("from", first(strings.Join(k.GetFrom(), " "), "all sites"))
	return rows
}

func (c *cli) checkRemove() *cobra.Command {
	in := &pb.RemoveCheckRequest{}
	cmd := &cobra.Command{Use: "remove FQDN", Short: "Have the endpoints of a host checked no more, and taken for up", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn = args[0]
		answer, err := s.RemoveCheck(ctx, in)
		if err != nil {
			return err
		}
		return c.done("removed check of "+in.Fqdn, answer.GetChange(), answer)
	})
	return changes(cmd)
}
