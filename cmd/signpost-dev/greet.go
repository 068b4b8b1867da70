package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"signpost/internal/proc/dev"
)

// greet prints where everything is and lines that work as printed.
func greet(out io.Writer, a dev.Addresses) {
	token, _ := os.ReadFile(a.AdminTokenFile)
	self, err := os.Executable()
	if err != nil {
		self = "signpost"
	}
	cli := relative(filepath.Join(filepath.Dir(self), "signpost"))
	host := "www." + a.Zone
	fmt.Fprintf(out, "Signpost is ready.\n\n")
	for i, d := range a.DNS {
		fmt.Fprintf(out, "  DNS replica %d  %s (UDP and TCP)\n", i+1, d)
	}
	fmt.Fprintf(out, "  control        %s (gRPC, REST, /nic/*; %s/openapi.json)\n", a.HTTP, a.HTTP)
	fmt.Fprintf(out, "  etcd           %s\n", a.Etcd)
	fmt.Fprintf(out, "  admin token    %s (in %s)\n\n", strings.TrimSpace(string(token)), relative(a.AdminTokenFile))
	fmt.Fprintf(out, "To try, in another terminal:\n\n")
	fmt.Fprintf(out, "  export SIGNPOST_SERVER=%s SIGNPOST_TOKEN_FILE=%s\n", a.HTTP, relative(a.AdminTokenFile))
	fmt.Fprintf(out, "  SECRET=$(%s host create %s --ip 192.0.2.1 --quiet)\n", cli, host)
	for _, d := range a.DNS {
		fmt.Fprintf(out, "  %s\n", dig(d, host, "A"))
	}
	fmt.Fprintf(out, "  curl -u \"%s:$SECRET\" \"%s/nic/update?myip=192.0.2.2\"\n", host, a.HTTP)
	fmt.Fprintf(out, "  %s\n", dig(a.DNS[0], host, "A"))
	fmt.Fprintf(out, "  %s record set _acme-challenge.%s TXT '\"hello\"'\n", cli, host)
	fmt.Fprintf(out, "  %s\n", dig(a.DNS[len(a.DNS)-1], "_acme-challenge."+host, "TXT"))
	fmt.Fprintf(out, "  %s zone export %s\n", cli, a.Zone)
	fmt.Fprintf(out, "  %s status %s\n\nCtrl-C stops it.\n", cli, host)
}

func dig(server, name, typ string) string {
	host, port, _ := net.SplitHostPort(server)
	return fmt.Sprintf("dig @%s -p %s %s %s +short", host, port, name, typ)
}

// relative is a path as seen from the working directory when that is shorter.
func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}
