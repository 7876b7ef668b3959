package portable

import (
	"context"
	"time"

	"gocloud.dev/runtimevar"
	"gocloud.dev/runtimevar/driver"

	"fairlead.dev"
	"fairlead.dev/config"
)

const (
	// errorPollInterval is how long gocloud.dev waits after an error before it
	// asks again.
	errorPollInterval = 500 * time.Millisecond
)

// OpenVariable opens one key of the settings of a name, decoded by decoder. Its
// errors are the errors of config.Open; it returns Invalid for a nil decoder.
func OpenVariable(ctx context.Context, p fairlead.Provider, name, key string, decoder *runtimevar.Decoder) (*runtimevar.Variable, error) {
	w, err := NewVariableDriver(ctx, p, name, key, decoder)
	if err != nil {
		return nil, err
	}
	return runtimevar.New(w), nil
}

// NewVariableDriver is like [OpenVariable], for programs that create the
// variable of gocloud.dev themselves.
func NewVariableDriver(ctx context.Context, p fairlead.Provider, name, key string, decoder *runtimevar.Decoder) (driver.Watcher, error) {
	if decoder == nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the decoder is nil; pass runtimevar.StringDecoder or another one")
	}
	src, err := config.Open(ctx, p, name)
	if err != nil {
		return nil, err
	}
	return &watcher{source: src, key: key, decoder: decoder}, nil
}

// watcher is a driver of gocloud.dev.
type watcher struct {
	errorConverter
	source  *config.Source
	key     string
	decoder *runtimevar.Decoder
}

// state is a state of the variable.
type state struct {
	version string // of all settings of the name; empty for an error of the source
	setting config.Value
	value   any
	at      time.Time
	err     error
}

// Value implements gocloud.dev's driver.State.
func (s *state) Value() (any, error) { return s.value, s.err }

// UpdateTime implements gocloud.dev's driver.State.
func (s *state) UpdateTime() time.Time { return s.at }

// As implements gocloud.dev's driver.State.
func (s *state) As(target any) bool { return assign(target, s.setting) }

// isSame reports whether a program would see no difference.
func (s *state) isSame(o *state) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err != nil && s.err.Error() == o.err.Error()
	}
	return string(s.setting.Data) == string(o.setting.Data)
}

// WatchVariable implements gocloud.dev's driver.Watcher. It waits for a change
// of the key, and ignores changes of other keys.
func (w *watcher) WatchVariable(ctx context.Context, prev driver.State) (driver.State, time.Duration) {
	previous, _ := prev.(*state)
	version := ""
	if previous != nil {
		version = previous.version
	}
	for {
		current := w.nextState(ctx, version)
		if ctx.Err() != nil {
			return nil, 0
		}
		switch {
		case previous == nil || !current.isSame(previous):
			return current, current.waitTime()
		case current.version == "":
			return nil, errorPollInterval
		}
		version = current.version
	}
}

// waitTime returns how long gocloud.dev waits before it asks again: after an
// error of the source, the state is polled.
func (s *state) waitTime() time.Duration {
	if s.version == "" {
		return errorPollInterval
	}
	return 0
}

// nextState waits until the settings have another version.
func (w *watcher) nextState(ctx context.Context, version string) *state {
	current := &state{at: time.Now()}
	all, err := w.source.Next(ctx, version)
	if err != nil {
		current.err = err
		return current
	}
	current.version, current.at = all.Version, time.Now()
	setting, there := all.Values[w.key]
	if !there {
		current.err = fairlead.Errorf(fairlead.NotFound, "no setting %q in %q", w.key, w.source.Name())
		return current
	}
	current.setting = setting
	current.value, current.err = w.decoder.Decode(ctx, setting.Data)
	return current
}

// Close implements gocloud.dev's driver.Watcher.
func (w *watcher) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return w.source.Close(ctx)
}
