package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"

	"signpost/internal/access/oidc"
	"signpost/internal/login"
	"signpost/internal/remote"
	pb "signpost/proto/signpost/v1"
)

func (c *cli) login() *cobra.Command {
	var issuer string
	var device, browser bool
	cmd := unhurried(&cobra.Command{
		Use: "login", Short: "Log in as a person and keep the login", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Log in at an OpenID provider that the service trusts, with a browser on this machine,
or with a code on another device when there is none here. The login is kept in your
configuration directory and used by every command while neither SIGNPOST_TOKEN nor
SIGNPOST_TOKEN_FILE is set, without --server at the service of the last login.`,
		Example: "  signpost login --server https://dns.example.org\n  signpost login --issuer egi --device",
	})
	f := cmd.Flags()
	f.StringVar(&issuer, "issuer", "", "name or URL of the provider, when the service trusts several")
	f.BoolVar(&device, "device", false, "show a code to enter on another device (the default without a display)")
	f.BoolVar(&browser, "browser", false, "use a browser on this machine (the default with a display)")
	cmd.MarkFlagsMutuallyExclusive("device", "browser")
	_ = cmd.RegisterFlagCompletionFunc("issuer", cobra.NoFileCompletions)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := c.connectPlain()
		if err == nil {
			defer s.close()
			err = c.logIn(cmd.Context(), s, issuer, browser || !device && c.hasDisplay())
		}
		return s.explain(cmd, args, err)
	}
	return cmd
}

// connectPlain reaches the server without a token, which it must be able to send later.
func (c *cli) connectPlain() (*service, error) {
	server := first(c.server, c.getenv("SIGNPOST_SERVER"))
	if server == "" {
		last, err := c.keep().Find("")
		if err == nil && last != nil {
			server = last.Server
			c.ca = first(c.ca, c.getenv("SIGNPOST_CA_FILE"), last.CAFile)
		}
	}
	server = first(server, remote.Default)
	at, err := remote.Parse(server)
	if err == nil {
		err = at.RefuseInTheClear()
	}
	if err != nil {
		return &service{}, badUsage(err.Error())
	}
	return c.connect(server, nil)
}

func (c *cli) logIn(ctx context.Context, s *service, wanted string, browser bool) error {
	within := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, callTimeout) }
	asking, cancel := within()
	defer cancel()
	all, err := s.ListIssuers(asking, &pb.ListIssuersRequest{})
	if err != nil {
		return err
	}
	i, err := chooseIssuer(all.GetIssuers(), wanted)
	if err != nil {
		return err
	}
	client, err := c.webClient()
	if err != nil {
		return err
	}
	token, err := c.getToken(ctx, client, i, browser)
	if err != nil {
		return err
	}
	l := &login.Login{Server: s.url, Issuer: i}
	l.Take(token)
	if file := first(c.ca, c.getenv("SIGNPOST_CA_FILE")); file != "" {
		if l.CAFile, err = filepath.Abs(file); err != nil {
			return err
		}
	}
	s.token = func(context.Context) (string, error) { return l.Access, nil }
	asking, cancel = within()
	defer cancel()
	who, err := s.WhoAmI(asking, &pb.WhoAmIRequest{})
	if err != nil {
		return err
	}
	if err := c.keep().Put(l); err != nil {
		return err
	}
	if c.json() {
		return c.printJSON(who)
	}
	c.say(clean("Logged in to "+s.url+" as "+who.GetPrincipal()) + "\n")
	return nil
}

func chooseIssuer(all []*pb.Issuer, wanted string) (login.Issuer, error) {
	var names []string
	for _, i := range all {
		names = append(names, i.GetName())
		if i.GetName() == wanted || i.GetUrl() == wanted || wanted == "" && len(all) == 1 {
			return login.Issuer{Name: i.GetName(), URL: i.GetUrl(), ClientID: i.GetClientId(), Scopes: i.GetScopes()}, nil
		}
	}
	switch {
	case len(all) == 0:
		return login.Issuer{}, errors.New("people cannot log in to this service; it takes tokens, in SIGNPOST_TOKEN or SIGNPOST_TOKEN_FILE")
	case wanted == "":
		return login.Issuer{}, badUsage("there are several providers; give one with --issuer: " + strings.Join(names, ", "))
	}
	return login.Issuer{}, badUsage("there is no provider " + wanted + "; give one with --issuer: " + strings.Join(names, ", "))
}

func (c *cli) getToken(ctx context.Context, client *http.Client, i login.Issuer, browser bool) (*oauth2.Token, error) {
	if browser {
		return login.Browser(ctx, client, i, func(page string) {
			_, _ = fmt.Fprintf(c.errOut, "Log in at this page, if it does not open by itself:\n  %s\n", clean(page))
			if c.browse != nil && c.browse(page) != nil {
				c.complain("signpost: no browser could be started; --device needs none here")
			}
		})
	}
	return login.Device(ctx, client, i, func(uri, code, complete string, until time.Time) {
		text := fmt.Sprintf("Log in on any device at\n  %s\nwith the code\n  %s\n", clean(uri), clean(code))
		if complete != "" {
			text += fmt.Sprintf("or at this page, which has it:\n  %s\n", clean(complete))
		}
		text += "It can be entered until " + until.Local().Format("15:04 MST") + ".\n"
		_, _ = fmt.Fprint(c.errOut, text)
	})
}

// hasDisplay reports whether a browser could be shown here.
func (c *cli) hasDisplay() bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return true
	}
	return first(c.getenv("DISPLAY"), c.getenv("WAYLAND_DISPLAY")) != ""
}

func openBrowser(page string) error {
	name, args := "xdg-open", []string{page}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", page}
	}
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // the page is shown above in any case
	return nil
}

func (c *cli) logout() *cobra.Command {
	cmd := unhurried(&cobra.Command{
		Use: "logout", Short: "End the login and forget it", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "End the login at the service of the last login, or of --server, and forget its tokens.",
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return (&service{}).explain(cmd, args, c.logOut(cmd.Context()))
	}
	return cmd
}

func (c *cli) logOut(ctx context.Context) error {
	l, err := c.findLogin()
	if err != nil {
		return err
	}
	if l == nil {
		return errors.New("you are not logged in" + strings.TrimSuffix(" at "+first(c.server, c.getenv("SIGNPOST_SERVER")), " at "))
	}
	if err := c.keep().Drop(l.Server); err != nil {
		return err
	}
	client, err := c.webClient()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err = l.Revoke(ctx, client)
	}
	if err != nil {
		c.complain("signpost: logout: the provider could not be told, so that the login goes on there until it ends by itself: " + err.Error())
	}
	if !c.quiet {
		c.say(clean("Logged out of "+l.Server) + "\n")
	}
	return nil
}

// keep is where logins are kept; without a configuration directory there are none.
func (c *cli) keep() login.Keep {
	if c.configDir == nil {
		return login.Keep{}
	}
	dir, err := c.configDir()
	if err != nil {
		return login.Keep{}
	}
	return login.Keep{Dir: filepath.Join(dir, "signpost")}
}

// findLogin is the login at the server that was named, or the last one; nil when there
// is none. It brings the certificates to trust that it was made with.
func (c *cli) findLogin() (*login.Login, error) {
	server := first(c.server, c.getenv("SIGNPOST_SERVER"))
	if server != "" {
		at, err := remote.Parse(server)
		if err != nil {
			return nil, badUsage(err.Error())
		}
		server = at.URL
	}
	l, err := c.keep().Find(server)
	if l != nil {
		c.ca = first(c.ca, c.getenv("SIGNPOST_CA_FILE"), l.CAFile)
	}
	return l, err
}

func (c *cli) tokenOf(l *login.Login) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return c.keep().Fresh(ctx, l, c.webClient) }
}

// webClient speaks to providers.
func (c *cli) webClient() (*http.Client, error) {
	roots, err := c.roots()
	return oidc.Client(roots), err
}
