package mutants

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	configdriver "fairlead.dev/config/driver"
	"fairlead.dev/conformance"
)

// configClaimMutants make claims that do not hold.
var configClaimMutants = []Mutant{
	{
		Name: "config-snapshot-torn", Breaks: "the two halves of a snapshot are of different moments",
		CaughtBy: cases("config/snapshot-moment", "config/snapshot-whole"),
		Open: withSource(func(s source) configdriver.Source {
			s.state = func(state *configdriver.Snapshot) {
				time.Sleep(time.Millisecond)
				later, err := s.portable.Snapshot(context.Background())
				if err != nil {
					return // the source is being closed
				}
				for key := range later.Values {
					if _, known := state.Values[key]; known && key >= "m" {
						state.Values[key] = later.Values[key]
					}
				}
			}
			return s
		}),
	},
	{
		Name: "config-set-one-by-one", Breaks: "the changes of a Set are made one by one",
		CaughtBy: cases("config/snapshot-whole", "config/atomic-race", "config/atomic-conflict"),
		Open: withSource(func(s source) configdriver.Source {
			s.set = func(ctx context.Context, changes []configdriver.Change) (version string, err error) {
				for _, c := range changes {
					time.Sleep(10 * time.Microsecond)
					if version, err = s.portable.Set(ctx, c); err != nil {
						return "", err
					}
				}
				return version, nil
			}
			return s
		}),
	},
	{
		Name: "config-cas-ignored", Breaks: "conditions are not looked at",
		CaughtBy: cases("config/cas", "config/cas-race", "config/cas-recreated", "config/atomic-conflict"),
		Open:     withChanges(func(c *configdriver.Change) { c.Checked = false }),
	},
	{
		Name: "config-cas-missing-ok", Breaks: "a missing key has every version", CaughtBy: cases("config/cas"),
		Open: checking(func(c *configdriver.Change, now configdriver.Value, exists bool) {
			if !exists {
				c.Version = ""
			}
		}),
	},
	{
		Name: "config-cas-not-atomic", Breaks: "a condition is looked at some time before the change is made",
		CaughtBy: cases("config/cas-race", "config/cas-counter"),
		Open: checking(func(c *configdriver.Change, now configdriver.Value, exists bool) {
			if exists && now.Version == c.Version {
				time.Sleep(20 * time.Millisecond)
				c.Checked = false
			}
		}),
	},
	{
		Name: "config-cas-by-value", Breaks: "a key's version depends only on its value", CaughtBy: cases("config/cas-recreated"),
		Open: func() conformance.Opener {
			versionOf := func(v configdriver.Value) string { return fmt.Sprintf("%x-", v.Data) }
			return withSource(func(s source) configdriver.Source {
				inner := s
				s.state = func(state *configdriver.Snapshot) {
					for key, v := range state.Values {
						v.Version = versionOf(v)
						state.Values[key] = v
					}
				}
				s.set = checkedBy(inner, func(c *configdriver.Change, now configdriver.Value, exists bool) {
					if exists && versionOf(now) == c.Version {
						c.Version = now.Version
					}
				})
				return s
			})
		}(),
	},
	{
		Name: "config-not-shared", Breaks: "every Open of a URL has settings of its own", CaughtBy: cases("config/shared"),
		Open: func() conformance.Opener {
			var opened atomic.Int64
			return func(ctx context.Context) (fairlead.Provider, error) {
				return fairlead.Open(ctx, fmt.Sprintf("mem://config-not-shared-%d", opened.Add(1)))
			}
		}(),
	},
}

// checking opens memory providers that change checked changes, knowing the
// present value of the key.
func checking(change func(c *configdriver.Change, now configdriver.Value, exists bool)) conformance.Opener {
	return withSource(func(s source) configdriver.Source {
		s.set = checkedBy(s, change)
		return s
	})
}

func checkedBy(s source, change func(c *configdriver.Change, now configdriver.Value, exists bool)) func(context.Context, []configdriver.Change) (string, error) {
	return func(ctx context.Context, changes []configdriver.Change) (string, error) {
		state, err := s.portable.Snapshot(ctx)
		if err != nil {
			return "", err
		}
		own := slices.Clone(changes)
		for i, c := range own {
			if now, exists := state.Values[c.Key]; c.Checked {
				change(&own[i], now, exists)
			}
		}
		return s.portable.Set(ctx, own...)
	}
}

// configAbsentMutants allow the calls of a claim that they did not make at first.
func configAbsentMutants() []Mutant {
	var mutants []Mutant
	for name, claim := range map[string]fairlead.Claim{
		"write": config.Write, "cas": config.CompareAndSet, "snapshot": config.Snapshot,
		"atomic-set": config.AtomicSet, "delete-visible": config.DeleteVisible,
	} {
		mutants = append(mutants, Mutant{
			Name: "config-unclaimed-" + name, Breaks: "what was not claimed is let through: " + string(claim),
			CaughtBy: cases("config/absent-" + name),
			Open: driftingConfig(func(f *fairlead.FacetDescription) {
				f.Claims = slices.DeleteFunc(f.Claims, func(c fairlead.Claim) bool { return c == claim })
			}),
		})
	}
	return mutants
}
