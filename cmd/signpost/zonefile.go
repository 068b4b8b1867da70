package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	pb "signpost/proto/signpost/v1"
)

// pieceSize is how much of a zone file goes into one message.
const pieceSize = 32 << 10

func (c *cli) zoneImport() *cobra.Command {
	in := &pb.ImportZoneRequest{}
	var progress bool
	cmd := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "Import a zone file; FILE may be - for standard input",
		Long: `Import a zone file (RFC 1035) of at most 256 MiB. A zone that is not there is
created. What hosts own stays as it is, unless --replace-hosts says otherwise.

The file is loaded beside what is served and becomes visible at once, or nothing of it
does. Changes that others make meanwhile are kept; if they are so many that the import
does not catch up with them, they are refused with ABORTED until it is done. There is
one import of a zone at a time; zone show tells of it. What changes nothing writes
nothing.`,
		Example:           "  signpost zone import example.org example.org.zone --replace --dry-run",
		Args:              takes(2, 2),
		ValidArgsFunction: c.zoneNameThenFile,
	}
	importFlags(cmd, in)
	f := cmd.Flags()
	f.BoolVar(&in.DryRun, "dry-run", false, "only count what would be done; zone diff shows it")
	f.BoolVar(&progress, "progress", false, "show progress also where standard error is no terminal")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Name = args[0]
		answer, err := c.sendFile(ctx, s, in, args[1], importing{progress: progress})
		if err != nil {
			return err
		}
		return c.imported(answer, in)
	})
	return unhurried(changes(cmd))
}

func importFlags(cmd *cobra.Command, in *pb.ImportZoneRequest) {
	f := cmd.Flags()
	f.BoolVar(&in.Replace, "replace", false, "replace all that no host owns; without it or --merge the zone must be empty")
	f.BoolVar(&in.ReplaceHosts, "replace-hosts", false, "replace hosts too, with their owners and secrets")
	f.BoolVar(&in.Merge, "merge", false, "add and change the file's record sets; remove nothing, leave hosts alone")
}

func (c *cli) zoneDiff() *cobra.Command {
	in := &pb.ImportZoneRequest{DryRun: true, Differences: true}
	cmd := &cobra.Command{
		Use:   "diff NAME FILE",
		Short: "Show what an import would change; FILE may be - for standard input",
		Long: `Show what zone import would change, with the same flags: a line for each record
that would go (-) or come (+), and what import --dry-run says. The SOA is compared
without its serial. It exits with 0 whether there are differences or not.`,
		Example:           "  signpost zone diff example.org example.org.zone --replace",
		Args:              takes(2, 2),
		ValidArgsFunction: c.zoneNameThenFile,
	}
	importFlags(cmd, in)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Name = args[0]
		var all []*pb.Difference
		answer, err := c.sendFile(ctx, s, in, args[1], importing{differ: func(ds []*pb.Difference) {
			if c.json() {
				all = append(all, ds...)
				return
			}
			for _, d := range ds {
				c.difference(d)
			}
		}})
		if err != nil {
			return err
		}
		answer.Differences = all
		return c.imported(answer, in)
	})
	return unhurried(cmd)
}

// difference prints a record set before and after, a line for each record.
func (c *cli) difference(d *pb.Difference) {
	for _, side := range []struct {
		mark  string
		ttl   uint32
		rdata []string
	}{{"-", d.GetTtlBefore(), d.GetBefore()}, {"+", d.GetTtlAfter(), d.GetAfter()}} {
		for _, r := range side.rdata {
			c.say(clean(fmt.Sprintf("%s%s %d %s %s", side.mark, d.GetName(), side.ttl, d.GetType(), r)) + "\n")
		}
	}
}

func (c *cli) open(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(c.in), nil
	}
	return os.Open(file)
}

// importing is what is done with the messages before the result.
type importing struct {
	progress bool
	differ   func([]*pb.Difference)
}

func (c *cli) sendFile(ctx context.Context, s *service, in *pb.ImportZoneRequest, file string, with importing) (*pb.ImportZoneResponse, error) {
	from, err := c.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()    // it was only read
	ctx, cancel := context.WithCancel(ctx) // ends the stream when reading fails
	defer cancel()
	stream, err := s.ImportZone(ctx)
	if err != nil {
		return nil, err
	}
	broken := make(chan error, 1)
	go func() {
		err := sendZone(stream, in, from)
		broken <- err
		if err != nil {
			cancel()
		}
	}()
	answer, err := c.importResult(stream, with)
	if err != nil {
		select {
		case reading := <-broken:
			return nil, cmp.Or(reading, err)
		default: // the service has answered before the end of the file
		}
	}
	return answer, err
}

// sendZone streams a zone file; the first message says what to do with it.
func sendZone(stream grpc.BidiStreamingClient[pb.ImportZoneRequest, pb.ImportZoneResponse], in *pb.ImportZoneRequest, from io.Reader) error {
	first := &pb.ImportZoneRequest{
		Name: in.GetName(), Replace: in.GetReplace(), ReplaceHosts: in.GetReplaceHosts(), Merge: in.GetMerge(),
		DryRun: in.GetDryRun(), Differences: in.GetDifferences(),
	}
	for piece := make([]byte, pieceSize); ; {
		n, err := io.ReadFull(from, piece)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		first.Data = piece[:n]
		if err := stream.Send(first); err != nil {
			return nil // the answer says why the service wants no more
		}
		if end {
			_ = stream.CloseSend() // as above
			return nil
		}
		first = &pb.ImportZoneRequest{}
	}
}

// importResult is the last message of the answer; those before it are shown.
func (c *cli) importResult(stream grpc.BidiStreamingClient[pb.ImportZoneRequest, pb.ImportZoneResponse], with importing) (*pb.ImportZoneResponse, error) {
	show := c.progress(with.progress)
	defer show.end()
	var answer *pb.ImportZoneResponse
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && answer != nil:
			return answer, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("the service ended its answer without a result")
		case err != nil:
			return nil, err
		case m.GetChange() != nil:
			answer = m
		case m.GetProgress() != nil:
			show.at(m.GetProgress())
		case with.differ != nil:
			with.differ(m.GetDifferences())
		}
	}
}

func (c *cli) imported(a *pb.ImportZoneResponse, in *pb.ImportZoneRequest) error {
	what := "imported zone " + in.GetName()
	switch {
	case in.GetDryRun() && a.GetCreated():
		what = "would create and import zone " + in.GetName()
	case in.GetDryRun():
		what = "would import zone " + in.GetName()
	case a.GetCreated():
		what = "created and imported zone " + in.GetName()
	}
	counts := fmt.Sprintf("record sets: %d in the file, %d added, %d changed, %d unchanged, %d removed",
		a.GetRecordSets(), a.GetAdded(), a.GetChanged(), a.GetUnchanged(), a.GetRemoved())
	if a.GetHostsKept() > 0 || a.GetSkipped() > 0 {
		counts += fmt.Sprintf(", %d skipped for hosts; hosts kept: %d", a.GetSkipped(), a.GetHostsKept())
	}
	if a.GetHostsRemoved() > 0 {
		counts += fmt.Sprintf("; hosts removed, with their owners and secrets: %d", a.GetHostsRemoved())
	}
	if c.json() {
		return c.done(what, a.GetChange(), a)
	}
	for _, w := range a.GetWarnings() {
		c.complain("warning: " + w)
	}
	if c.quiet {
		return behind(a.GetChange())
	}
	if in.GetDryRun() {
		c.say(clean(what) + "\n")
	} else if err := c.done(what, a.GetChange(), a); err != nil {
		return err
	}
	c.say(counts + "\n")
	return nil
}

func (c *cli) zoneExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export NAME [FILE]",
		Short: "Write a zone as a zone file, to standard output or to FILE",
		Long: `Write a zone as a zone file. FILE is written under another name first, so that
what was there is either replaced by the whole zone or left alone.`,
		Args:              takes(1, 2),
		ValidArgsFunction: c.zoneNameThenFile,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		stream, err := s.ExportZone(ctx, &pb.ExportZoneRequest{Name: args[0]})
		if err != nil {
			return err
		}
		if len(args) == 2 && args[1] != "-" {
			return toFile(args[1], func(w io.Writer) error { return receiveZone(stream, w) })
		}
		if !c.json() {
			return receiveZone(stream, c.out)
		}
		var text strings.Builder
		if err := receiveZone(stream, &text); err != nil {
			return err
		}
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]string{"name": args[0], "zone_file": text.String()})
	})
	return unhurried(cmd)
}

func receiveZone(stream grpc.ServerStreamingClient[pb.ExportZoneResponse], to io.Writer) error {
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := to.Write(piece.GetData()); err != nil {
			return err
		}
	}
}

// toFile writes a file as a whole or not at all.
func toFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
