package main

import (
	"context"
	"encoding/pem"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) cert() *cobra.Command {
	return group("cert", "Certificates of hosts: issue, show", "", c.certIssue(), c.certShow())
}

// mostRequest is how many octets a signing request may have.
const mostRequest = 64 << 10

func (c *cli) certIssue() *cobra.Command {
	var file, out string
	cmd := &cobra.Command{
		Use: "issue FQDN --csr FILE", Short: "Get a certificate for a host and print its chain (PEM)", Args: takes(1, 1), ValidArgsFunction: c.hostNames,
		Long: `Get a certificate for a host, which need not have an address yet, and print the chain
in PEM. The private key stays where it is: what is sent is a certificate signing request.
The certificate that the host has is given again while it is of the same key, a third of its
life is left, and the authority does not want it renewed before that.`,
		Example: `  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=www.fedcloud.test -keyout www.key -out www.csr
  signpost cert issue www.fedcloud.test --csr www.csr --out www.pem`,
	}
	f := cmd.Flags()
	f.StringVar(&file, "csr", "", "the signing request, PEM or DER; - is standard input")
	f.StringVar(&out, "out", "", "write the chain to this file instead")
	_ = cmd.RegisterFlagCompletionFunc("csr", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	})
	_ = cmd.RegisterFlagCompletionFunc("out", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	})
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		csr, err := c.signingRequest(file)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, issueWithin)
		defer cancel()
		answer, err := s.IssueCertificate(ctx, &pb.IssueCertificateRequest{Fqdn: args[0], Csr: csr})
		if err != nil {
			return err
		}
		if out != "" {
			if err := os.WriteFile(out, []byte(answer.GetCertificate().GetChain()), 0o644); err != nil { //nolint:gosec // it is for everybody to see
				return err
			}
		}
		switch {
		case c.json():
			return c.printJSON(answer)
		case out == "":
			c.say(answer.GetCertificate().GetChain())
			return nil
		}
		return c.done("wrote certificate of "+answer.GetCertificate().GetFqdn()+", good until "+when(answer.GetCertificate().GetNotAfter())+", to "+out, answer.GetChange(), answer)
	})
	return changes(unhurried(cmd))
}

// issueWithin is longer than the service takes for an order at most, and for another that
// it waits for.
const issueWithin = 5 * time.Minute

// signingRequest is a signing request as the API takes it.
func (c *cli) signingRequest(file string) (string, error) {
	if file == "" {
		return "", badUsage("give the certificate signing request with --csr FILE")
	}
	in := c.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", badUsage("read the certificate signing request: " + err.Error())
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, mostRequest+1))
	switch {
	case err != nil:
		return "", badUsage("read the certificate signing request: " + err.Error())
	case len(raw) > mostRequest:
		return "", badUsage("read the certificate signing request: " + file + " is longer than 64 KiB")
	case strings.Contains(string(raw), "PRIVATE KEY-----"):
		return "", badUsage("there is a private key in " + file + ", which is nobody's to see: give the signing request alone")
	case !strings.Contains(string(raw), "-----BEGIN "):
		raw = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw})
	}
	return string(raw), nil
}

func (c *cli) certShow() *cobra.Command {
	var chain bool
	cmd := &cobra.Command{Use: "show FQDN", Short: "Show the certificate of a host", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.Flags().BoolVar(&chain, "chain", false, "print its chain (PEM) and nothing else")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		cert, err := s.GetCertificate(ctx, &pb.GetCertificateRequest{Fqdn: args[0]})
		switch {
		case err != nil:
			return err
		case c.json():
			return c.printJSON(cert)
		case chain:
			c.say(cert.GetChain())
			return nil
		}
		rows := [][]string{
			{"host", cert.GetFqdn()},
			{"names", strings.Join(cert.GetNames(), " ")},
			{"serial", cert.GetSerial()},
			{"key", cert.GetKeyId()},
			{"issued", when(cert.GetIssueTime())},
			{"valid", when(cert.GetNotBefore()) + " to " + when(cert.GetNotAfter())},
		}
		if cert.GetRenewFrom() != nil {
			rows = append(rows, []string{"renew", when(cert.GetRenewFrom()) + " to " + when(cert.GetRenewTo())})
		}
		return table(c.out, rows)
	})
	return cmd
}
