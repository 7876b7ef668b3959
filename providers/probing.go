package providers

import (
	"context"
	"log/slog"
	"time"

	"fairlead.dev"
)

// Probing says how a provider keeps its description true: see [Live.Keep].
type Probing struct {
	// Probe asks the backend what holds now. Its context ends after Timeout.
	// See [DescribeState].
	Probe   func(context.Context) (fairlead.Description, error)
	Every   time.Duration // how often; positive
	Timeout time.Duration // of one probe
	// Now makes it probe at once, for example because there is a new connection,
	// whose server may be another one: see [Trigger]. May be nil.
	Now <-chan struct{}
	// Then is called after each probe, also after one that failed. May be nil.
	Then   func()
	Logger *slog.Logger
}

// DescribeState returns a Probe for [Probing], which describes the state that
// probe finds. A provider calls the same function when it opens.
func DescribeState[S any](probe func(context.Context) (S, error), describe func(S) fairlead.Description) func(context.Context) (fairlead.Description, error) {
	return func(ctx context.Context) (fairlead.Description, error) {
		state, err := probe(ctx)
		if err != nil {
			return fairlead.Description{}, err
		}
		return describe(state), nil
	}
}

// Keep probes the backend until ctx ends, and announces what has changed; see
// [Live.Announce]. While the backend cannot be reached, the last description
// stands. A provider runs Keep in a goroutine for which its Close waits.
func (l *Live) Keep(ctx context.Context, p Probing) {
	ticker := time.NewTicker(p.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-p.Now:
		}
		l.probe(ctx, p)
		if p.Then != nil {
			p.Then()
		}
	}
}

func (l *Live) probe(ctx context.Context, p Probing) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	d, err := p.Probe(ctx)
	if err != nil {
		p.Logger.Debug("the backend cannot be probed", slog.Any("error", err))
		return
	}
	l.Announce(d, p.Logger)
}
