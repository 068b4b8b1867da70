package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// timeSpan is a flag of whole seconds, bare or as a duration with a unit.
type timeSpan struct {
	seconds uint32
	set     bool
}

func (t *timeSpan) String() string {
	if !t.set {
		return ""
	}
	return span(t.seconds)
}
func (t *timeSpan) Type() string { return "duration" }
func (t *timeSpan) Set(s string) error {
	n, err := parseSpan(s)
	if err != nil {
		return err
	}
	t.seconds, t.set = n, true
	return nil
}

// optional is the flag for a field that is left alone when it is not given.
func (t *timeSpan) optional() *uint32 {
	if !t.set {
		return nil
	}
	return &t.seconds
}

func parseSpan(s string) (uint32, error) {
	whole := func(n uint64, unit uint64, err error) (uint32, error) {
		if err == nil && n > math.MaxInt32/unit {
			return 0, fmt.Errorf("%q is too long a span of time; the longest is %d seconds", s, math.MaxInt32)
		}
		if err != nil {
			return 0, fmt.Errorf("%q is no span of time; give seconds or a duration of whole seconds, such as 60, 5m, 1h30m or 1d", s)
		}
		return uint32(n * unit), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		return whole(n, 86400, err)
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return whole(n, 1, nil)
	}
	d, err := time.ParseDuration(s)
	if err == nil && (d < 0 || d%time.Second != 0) {
		err = strconv.ErrRange
	}
	return whole(uint64(d/time.Second), 1, err)
}

// span is a TTL as parseSpan reads it, in the largest unit that fits.
func span(seconds uint32) string {
	for _, u := range []struct {
		unit uint32
		name string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if seconds >= u.unit && seconds%u.unit == 0 {
			return strconv.FormatUint(uint64(seconds/u.unit), 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(seconds), 10) + "s"
}

// onOff is a flag of a switch, which also knows whether it was given.
type onOff struct{ on, set bool }

func (o *onOff) String() string {
	switch {
	case !o.set:
		return ""
	case o.on:
		return "on"
	}
	return "off"
}
func (o *onOff) Type() string { return "on|off" }
func (o *onOff) Set(s string) error {
	if s != "on" && s != "off" {
		return fmt.Errorf("%q is neither on nor off", s)
	}
	o.on, o.set = s == "on", true
	return nil
}

func (o *onOff) optional() *bool {
	if !o.set {
		return nil
	}
	return &o.on
}

// switchFlag adds a switch; the flag alone means on.
func switchFlag(f *pflag.FlagSet, o *onOff, name, usage string) {
	f.Var(o, name, usage)
	f.Lookup(name).NoOptDefVal = "on"
}

// choice is a flag of one of a few words.
type choice struct {
	value   *string
	allowed []string
}

func (c *choice) String() string { return "" }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(c.allowed, ", "))
	}
	*c.value = s
	return nil
}

// Names of the flags that every change has; callContext reads them.
const (
	followFlag    = "follow"
	waitFlag      = "wait"
	requestIDFlag = "request-id"
)

// longestWait is how long the service waits at most, and without a time.
const longestWait = "10s"

// given puts a flag's value where it is wanted, if the flag was given: absent is the
// default, and 0 is not.
func given[T any](f *pflag.FlagSet, name string, to **T, value T) {
	if f.Changed(name) {
		*to = &value
	}
}

// changes adds the flags that every change has.
func changes(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.Duration(waitFlag, 0, "return when every name server serves the change, after this time at the latest; if one is still behind then, exit with 1 (the change is done)")
	f.Lookup(waitFlag).NoOptDefVal = longestWait
	f.String(requestIDFlag, "", "a word of your choice for this call: sent again within 24 hours, it is done once")
	_ = cmd.RegisterFlagCompletionFunc(waitFlag, cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc(requestIDFlag, cobra.NoFileCompletions)
	return cmd
}

// etagValue is an etag that was given: an empty one, of a script whose reading failed,
// would lift the condition.
type etagValue string

func (e *etagValue) String() string { return string(*e) }
func (e *etagValue) Type() string   { return "string" }

func (e *etagValue) Set(s string) error {
	if s == "" {
		return errors.New("it is empty; leave --etag out to change it in any case")
	}
	*e = etagValue(s)
	return nil
}

func etagFlag(cmd *cobra.Command, etag *string) {
	cmd.Flags().Var((*etagValue)(etag), "etag", "change it only if it still has this etag (list and show print them with -o json)")
	_ = cmd.RegisterFlagCompletionFunc("etag", cobra.NoFileCompletions)
}
