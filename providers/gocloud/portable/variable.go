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
	// afterError is how long a state that is an error is kept before another
	// look.
	afterError = 500 * time.Millisecond
)

// OpenVariable opens one key of the settings of a name, decoded by decoder.
// Errors are those of config.Open; Invalid for a nil decoder.
func OpenVariable(ctx context.Context, p fairlead.Provider, name, key string, decoder *runtimevar.Decoder) (*runtimevar.Variable, error) {
	w, err := NewVariableDriver(ctx, p, name, key, decoder)
	if err != nil {
		return nil, err
	}
	return runtimevar.New(w), nil
}

// NewVariableDriver is as [OpenVariable], for those who make the variable of
// gocloud.dev themselves.
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
	errorsOf
	source  *config.Source
	key     string
	decoder *runtimevar.Decoder
}

// state is what a variable was at one time.
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

// same reports whether a program would see no difference.
func (s *state) same(o *state) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err != nil && s.err.Error() == o.err.Error()
	}
	return string(s.setting.Data) == string(o.setting.Data)
}

// WatchVariable implements gocloud.dev's driver.Watcher. It waits for a change
// of the key, over changes of others.
func (w *watcher) WatchVariable(ctx context.Context, prev driver.State) (driver.State, time.Duration) {
	before, _ := prev.(*state)
	version := ""
	if before != nil {
		version = before.version
	}
	for {
		now := w.next(ctx, version)
		if ctx.Err() != nil {
			return nil, 0
		}
		switch {
		case before == nil || !now.same(before):
			return now, now.pause()
		case now.version == "":
			return nil, afterError
		}
		version = now.version
	}
}

// pause is how long gocloud.dev shall wait before it asks again: the settings
// of a source that failed are not waited for, but looked at.
func (s *state) pause() time.Duration {
	if s.version == "" {
		return afterError
	}
	return 0
}

// next waits until the settings have another version.
func (w *watcher) next(ctx context.Context, version string) *state {
	now := &state{at: time.Now()}
	all, err := w.source.Next(ctx, version)
	if err != nil {
		now.err = err
		return now
	}
	now.version, now.at = all.Version, time.Now()
	setting, there := all.Values[w.key]
	if !there {
		now.err = fairlead.Errorf(fairlead.NotFound, "no setting %q in %q", w.key, w.source.Name())
		return now
	}
	now.setting = setting
	now.value, now.err = w.decoder.Decode(ctx, setting.Data)
	return now
}

// Close implements gocloud.dev's driver.Watcher.
func (w *watcher) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return w.source.Close(ctx)
}
