// Package settings answers one question: what do a configuration file, the environment and
// the flags of a process say together? It also has what several processes are told.
package settings

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"signpost/internal/model"
)

const noParts = "\x00" // a separator that no setting has

// notOurs are environment variables that look like settings and belong to other
// programs.
var notOurs = []string{"SIGNPOST_SERVER", "SIGNPOST_TOKEN", "SIGNPOST_TOKEN_FILE", "SIGNPOST_CA_FILE", "SIGNPOST_SECRET", "SIGNPOST_CASES"}

// Known is which settings there are.
type Known struct {
	Flags    *pflag.FlagSet
	Not      []string // flags that stand for themselves
	FileOnly []string // lists that are in the file only
}

func (k Known) has(key string) bool {
	return k.Flags.Lookup(key) != nil && !slices.Contains(k.Not, key)
}

// Bad is that a setting is wrong, of kind Invalid.
func Bad(what, why string) error {
	return model.E(model.Invalid, "read setting", what).Because(why)
}

// Load reads settings into what to points to, whose koanf tags are their names: the flags'
// defaults, then the file (YAML; "" for none), the environment, and the flags that were
// given. err is what leaves nothing to look at; problems is all else that is wrong. Both
// are of kind Invalid.
func Load(to any, path string, known Known) (problems []error, err error) {
	k := koanf.New(noParts)
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, model.E(model.Invalid, "read configuration", path).From(err)
		}
		problems = known.inFile(k.Keys(), path)
	}
	err = k.Load(env.Provider("\x00", env.Opt{Prefix: "SIGNPOST_", TransformFunc: func(name, v string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "SIGNPOST_")), "_", "-")
		switch f := known.Flags.Lookup(key); {
		case slices.Contains(notOurs, name):
			return "", nil
		case !known.has(key):
			problems = append(problems, Bad(name, "there is no such setting; it is in the environment"))
			return "", nil
		case f.Value.Type() == "stringSlice":
			return key, strings.Split(v, ",")
		}
		return key, v
	}}), nil)
	if err != nil {
		return nil, model.E(model.Invalid, "read environment", "").From(err)
	}
	if err := k.Load(posflag.Provider(known.Flags, "\x00", k), nil); err != nil {
		return nil, model.E(model.Invalid, "read flags", "").From(err)
	}
	var read mapstructure.Metadata
	err = k.UnmarshalWithConf("", to, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Metadata: &read, WeaklyTypedInput: true, DecodeHook: mapstructure.StringToTimeDurationHookFunc(),
	}})
	if err != nil {
		return nil, model.E(model.Invalid, "read configuration", path).From(errors.Join(append(problems, err)...))
	}
	for _, key := range read.Unused {
		if list, _, in := strings.Cut(key, "["); in && slices.Contains(known.FileOnly, list) {
			problems = append(problems, Bad(key, "there is no such setting; it is in "+path))
		}
	}
	return problems, nil
}

func (k Known) inFile(keys []string, path string) (problems []error) {
	for _, key := range keys {
		list, _, parts := strings.Cut(key, noParts)
		switch {
		case !slices.Contains(k.FileOnly, list):
			if !k.has(key) {
				problems = append(problems, Bad(key, "there is no such setting; it is in "+path))
			}
		case parts:
			problems = append(problems, Bad(list, "it is a list: write - before each of what is in it"))
		}
	}
	return problems
}

// Level reads a level of logging.
func Level(setting, text string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return 0, Bad(setting, "\""+text+"\" is not debug, info, warn or error")
	}
	return l, nil
}
