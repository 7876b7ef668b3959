//go:build !linux && !darwin && !freebsd

package wire

import "errors"

func peerUser(int) (int, error) { return 0, errors.ErrUnsupported }
