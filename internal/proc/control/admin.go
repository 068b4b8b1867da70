package control

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"signpost/controlapi"
	"signpost/internal/model"
	"signpost/internal/proc/settings"
	pb "signpost/proto/signpost/v1"
)

func (c Config) level() (slog.Level, error) { return settings.Level("log-level", c.LogLevel) }

func (c Config) logger(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), err
}

// EnsureToken makes another admin token when the file with the first is gone: for
// signpost-dev, whose etcd nobody else can give one.
func (s *Server) EnsureToken(ctx context.Context) error {
	_, _, err := readOrMake(s.config.AdminTokenFile, func() (string, error) {
		return newAdminToken(ctx, s.store, s.config, s.log)
	})
	return err
}

// EnsureZone creates a zone with the name servers ns1 and ns2 at an address, if it
// is not there: for signpost-dev. Its hosts may have loopback addresses, so that
// everything can be tried on one machine.
func (s *Server) EnsureZone(ctx context.Context, zone, addr string) error {
	token, err := os.ReadFile(s.config.AdminTokenFile)
	if err != nil {
		return model.E(model.Precondition, "read admin token", s.config.AdminTokenFile).From(err)
	}
	ctx = controlapi.WithCaller(ctx, controlapi.Caller{Authorization: "Bearer " + strings.TrimSpace(string(token))})
	_, err = s.service.CreateZone(ctx, &pb.CreateZoneRequest{
		Name: zone, LocalAddresses: true, NameServers: []*pb.NameServer{
			{Name: "ns1." + zone, Addresses: []string{addr}}, {Name: "ns2." + zone, Addresses: []string{addr}},
		},
	})
	if model.KindOf(err) == model.AlreadyExists {
		return nil
	}
	return err
}
