package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) record() *cobra.Command {
	return group("record", "Records: list, set, delete", "", c.recordList(), c.recordSet(), c.recordDelete())
}

func (c *cli) recordList() *cobra.Command {
	cmd := &cobra.Command{Use: "list FQDN", Short: "List the records of a name", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.ListRecordSets(ctx, &pb.ListRecordSetsRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(answer)
		}
		return table(c.out, c.titled(recordRows(answer.GetRecordSets())))
	})
	return cmd
}

func recordRows(sets []*pb.RecordSet) [][]string {
	rows := [][]string{{"TYPE", "TTL", "DATA"}}
	for _, set := range sets {
		for _, data := range set.GetRdata() {
			rows = append(rows, []string{set.GetType(), span(set.GetTtl()), data})
		}
	}
	return rows
}

func (c *cli) recordSet() *cobra.Command {
	in := &pb.SetRecordSetRequest{}
	var life timeSpan
	cmd := &cobra.Command{
		Use:   "set FQDN TYPE RDATA...",
		Short: "Set all records of one type at a name",
		Long: `Set all records of one type at a name; each RDATA is one record, as after the type
in a zone file. Names in it are absolute, with a final dot or without; a single label
needs the dot. A TXT without double quotes is taken as the text itself.`,
		Example: `  signpost record set www.fedcloud.test TXT "v=spf1 -all"
  signpost record set www.fedcloud.test MX "10 mail.example.org."`,
		Args:              takes(3, -1),
		ValidArgsFunction: c.nameThenType,
	}
	cmd.Flags().Var(&life, "ttl", "their TTL, such as 60 or 5m (default: the zone's)")
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Type, in.Rdata, in.Ttl = args[0], args[1], args[2:], life.optional()
		if strings.EqualFold(in.Type, "TXT") {
			for i, text := range in.Rdata {
				in.Rdata[i] = quoteTXT(text)
			}
		}
		answer, err := s.SetRecordSet(ctx, in)
		if err != nil {
			return err
		}
		set := answer.GetRecordSet()
		return c.done("set "+set.GetType()+" of "+set.GetFqdn(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

// quoteTXT turns plain text into TXT data: strings of at most 255 octets in quotes.
// A zone file would make two strings of "a b" and cut "a;b" short, which nobody who
// types it at a shell means. Text with quotes is TXT data already.
func quoteTXT(text string) string {
	if strings.Contains(text, `"`) {
		return text
	}
	var b strings.Builder
	for {
		piece := text[:min(len(text), 255)]
		b.WriteString(`"` + strings.ReplaceAll(piece, `\`, `\\`) + `"`)
		if text = text[len(piece):]; text == "" {
			return b.String()
		}
		b.WriteByte(' ')
	}
}

func (c *cli) recordDelete() *cobra.Command {
	in := &pb.DeleteRecordSetRequest{}
	cmd := &cobra.Command{
		Use: "delete FQDN TYPE", Short: "Delete all records of one type at a name", Args: takes(2, 2), ValidArgsFunction: c.nameThenType,
	}
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Type = args[0], args[1]
		answer, err := s.DeleteRecordSet(ctx, in)
		if err != nil {
			return err
		}
		return c.done("deleted "+strings.ToUpper(in.Type)+" of "+in.Fqdn, answer.GetChange(), answer)
	})
	return changes(cmd)
}
