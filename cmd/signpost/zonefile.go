package main

import (
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
	cmd := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "Import a zone file; FILE may be - for standard input",
		Long: `Import a zone file (RFC 1035). A zone that is not there is created. What hosts
own stays as it is, unless --replace-hosts says otherwise.`,
		Example:           "  signpost zone import example.org example.org.zone --replace --dry-run",
		Args:              takes(2, 2),
		ValidArgsFunction: c.zoneNameThenFile,
	}
	f := cmd.Flags()
	f.BoolVar(&in.Replace, "replace", false, "replace all that no host owns; without it the zone must be empty")
	f.BoolVar(&in.ReplaceHosts, "replace-hosts", false, "replace hosts too")
	f.BoolVar(&in.DryRun, "dry-run", false, "only count what would be done")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		from, err := c.open(args[1])
		if err != nil {
			return err
		}
		defer func() { _ = from.Close() }() // it was only read
		in.Name = args[0]
		answer, err := sendZone(ctx, s, in, from)
		if err != nil {
			return err
		}
		return c.imported(answer, in)
	})
	return changes(cmd)
}

func (c *cli) open(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(c.in), nil
	}
	return os.Open(file)
}

// sendZone streams a zone file; the first message says what to do with it.
func sendZone(ctx context.Context, s *service, in *pb.ImportZoneRequest, from io.Reader) (*pb.ImportZoneResponse, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when reading fails
	defer cancel()
	stream, err := s.ImportZone(ctx)
	if err != nil {
		return nil, err
	}
	for piece := make([]byte, pieceSize); ; {
		n, err := io.ReadFull(from, piece)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return nil, err
		}
		in.Data = piece[:n]
		if err := stream.Send(in); errors.Is(err, io.EOF) || end {
			return stream.CloseAndRecv() // on EOF it knows why the service wants no more
		} else if err != nil {
			return nil, err
		}
		in = &pb.ImportZoneRequest{}
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
	return cmd
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
