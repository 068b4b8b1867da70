package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/spf13/pflag"
)

const root = "../../../"

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The table of docs/agent.md has each setting with its default, and no other.
func TestTheDocsHaveEachSetting(t *testing.T) {
	docs := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.*?) \\|").FindAllStringSubmatch(read(t, "docs/agent.md"), -1) {
		docs[row[1]] = strings.Trim(row[2], "`")
	}
	f := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	Flags(f)
	f.VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(notSettings, flag.Name) {
			return
		}
		in, ok := docs[flag.Name]
		want := flag.DefValue
		if d, err := time.ParseDuration(want); err == nil && d > 0 {
			want = strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
			if d < time.Hour {
				want = d.String()
			}
		}
		if !ok || want != "" && want != "[]" && in != want {
			t.Errorf("docs/agent.md: %s has the default %q, is %q", flag.Name, in, want)
		}
		delete(docs, flag.Name)
	})
	for name := range docs {
		t.Errorf("docs/agent.md: there is no setting %s", name)
	}
}

// The snippet for cloud-init is the one in the docs; its unit is that of dist/ without the
// comments, and its settings are some that the agent takes.
func TestCloudInit(t *testing.T) {
	snippet := read(t, "dist/cloud-init.yaml")
	if !strings.HasPrefix(snippet, "#cloud-config\n") || !strings.Contains(read(t, "docs/agent.md"), "```yaml\n"+snippet+"```") {
		t.Error("docs/agent.md does not show dist/cloud-init.yaml as it is")
	}
	var c struct {
		WriteFiles []struct{ Path, Permissions, Content string } `mapstructure:"write_files"`
		RunCmd     []string                                      `mapstructure:"runcmd"`
	}
	m, err := yaml.Parser().Unmarshal([]byte(snippet))
	if err != nil {
		t.Fatal(err)
	}
	if err := mapstructure.Decode(m, &c); err != nil || len(m) != 2 {
		t.Fatal(err, m)
	}
	files := map[string]string{}
	for _, f := range c.WriteFiles {
		files[f.Path] = f.Content
		if f.Path == "/etc/signpost/secret" && f.Permissions != "0600" {
			t.Errorf("the secret has mode %s", f.Permissions)
		}
	}
	plain := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "dist/signpost-agent.service"), "")
	if files["/etc/systemd/system/signpost-agent.service"] != plain {
		t.Error("its unit is not dist/signpost-agent.service")
	}
	if got, err := load(t, files["/etc/signpost/agent.yaml"], nil); err != nil || len(got.Servers) != 2 || !got.Drain {
		t.Errorf("its settings: %+v, %v", got, err)
	}
	for _, word := range []string{"/usr/local/bin/signpost", "/etc/signpost/agent.yaml", credential + ":/etc/signpost/secret"} {
		if !strings.Contains(plain, word) {
			t.Errorf("the unit does not mention %s", word)
		}
	}
}

func TestCloudInitTakesTheSnippet(t *testing.T) {
	path, err := exec.LookPath("cloud-init")
	if err != nil {
		t.Skip("cloud-init is not installed: apt-get install cloud-init")
	}
	if out, err := exec.CommandContext(t.Context(), path, "schema", "--config-file", root+"dist/cloud-init.yaml").CombinedOutput(); err != nil || !strings.Contains(string(out), "Valid") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSystemdTakesTheUnit(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: apt-get install systemd")
	}
	self, err := os.Executable() // a program that is there, in the place of ours
	if err != nil {
		t.Fatal(err)
	}
	unit := write(t, filepath.Join(t.TempDir(), "signpost-agent.service"), strings.ReplaceAll(read(t, "dist/signpost-agent.service"), "/usr/local/bin/signpost", self), 0o644)
	if out, err := exec.CommandContext(t.Context(), path, "verify", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "signpost-agent") {
		t.Errorf("%v\n%s", err, out)
	}
}
