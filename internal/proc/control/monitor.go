package control

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/monitor"
	"signpost/internal/proc/settings"
)

func (c Config) checkMonitor() (problems []error) {
	if _, err := monitor.ParseRules(c.Allow, c.Own); err != nil {
		problems = append(problems, err)
	}
	switch {
	case c.Monitor:
		if err := model.CheckSite("site", c.Site); err != nil {
			problems = append(problems, err)
		}
	case c.Site != "":
		problems = append(problems, settings.Bad("site", "it goes together with monitor"))
	case len(c.Allow)+len(c.Own) > 0:
		problems = append(problems, settings.Bad("allow", "it and own-addresses are for checks, which go together with monitor"))
	}
	return problems
}

// newMonitor makes the monitor of the site, nil when there is to be none.
func (s *Server) newMonitor(metrics prometheus.Registerer, log *slog.Logger) (*monitor.Monitor, error) {
	c := s.config
	if !c.Monitor {
		return nil, nil
	}
	rules, err := monitor.ParseRules(c.Allow, c.Own)
	if err != nil {
		return nil, err
	}
	if !c.ChecksHere {
		if rules, err = rules.Here(); err != nil {
			return nil, err
		}
	}
	return monitor.New(monitor.Config{Site: c.Site, Rules: rules, Store: s.store, Log: log, Metrics: metrics}), nil
}
