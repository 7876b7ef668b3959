package etcd

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	metricsTimeoutDivisor = 2 // of the request timeout, for one page
	metricsBytes          = 8 << 20
)

// sample is what a member says about itself on its metrics page.
type sample struct {
	member  uint64
	version string
	fsyncs  float64 // of the log, since the member was started
	writes  float64 // to the log, since the member was started
	quota   float64 // of the database, in bytes; 0: not told
	size    float64 // of the database, in bytes
}

// isNearlyFull reports whether the database has used nine tenths of its quota.
func (s sample) isNearlyFull() bool { return s.quota > 0 && s.size >= 0.9*s.quota }

// The metrics that a sample is made of.
const (
	metricFsyncs  = "etcd_disk_wal_fsync_duration_seconds_count"
	metricWrites  = "etcd_disk_wal_write_duration_seconds_count"
	metricID      = "etcd_server_id"
	metricVersion = "etcd_server_version"
	metricQuota   = "etcd_server_quota_backend_bytes"
	metricSize    = "etcd_mvcc_db_total_size_in_bytes"
)

// fetchSample reads the metrics page of a member.
func fetchSample(ctx context.Context, c *tls.Config, endpoint string) (s sample, err error) {
	err = fetchPage(ctx, c, endpoint+"/metrics", func(res *http.Response) error {
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/metrics: %s", endpoint, res.Status)
		}
		s, err = parseSample(io.LimitReader(res.Body, metricsBytes))
		return err
	})
	return s, err
}

// fetchPage reads a page of a member over a connection of its own: http.Client writes to
// the log of the process when it meets a port that speaks gRPC only.
func fetchPage(ctx context.Context, c *tls.Config, page string, read func(*http.Response) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	req.Close = true
	conn, err := dial(ctx, c, req.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := req.Write(conn); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	defer res.Body.Close()
	return read(res)
}

// dial connects to the host of a URL.
func dial(ctx context.Context, c *tls.Config, u *url.URL) (net.Conn, error) {
	if u.Scheme != "https" {
		return new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	}
	return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", u.Host)
}

// parseSample reads a few lines of the text format of Prometheus.
func parseSample(r io.Reader) (s sample, err error) {
	found := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, label, value, ok := parseMetric(lines.Text())
		if !ok {
			continue
		}
		switch name {
		case metricFsyncs:
			s.fsyncs, err = strconv.ParseFloat(value, 64)
		case metricWrites:
			s.writes, err = strconv.ParseFloat(value, 64)
		case metricQuota:
			s.quota, err = strconv.ParseFloat(value, 64)
		case metricSize:
			s.size, err = strconv.ParseFloat(value, 64)
		case metricID:
			s.member, err = strconv.ParseUint(label, 16, 64)
		case metricVersion:
			s.version = label
		default:
			continue
		}
		if err != nil {
			return sample{}, fmt.Errorf("the metric %s: %w", name, err)
		}
		found[name] = true
	}
	if err := lines.Err(); err != nil {
		return sample{}, err
	}
	for _, name := range []string{metricFsyncs, metricWrites, metricID} {
		if !found[name] {
			return sample{}, fmt.Errorf("the page has no metric %s", name)
		}
	}
	return s, nil
}

// parseMetric splits a line `name value` or `name{label="…"} value`.
func parseMetric(line string) (name, label, value string, ok bool) {
	series, value, ok := strings.Cut(line, " ")
	if !ok || strings.HasPrefix(line, "#") {
		return "", "", "", false
	}
	name, labels, _ := strings.Cut(series, "{")
	_, quoted, _ := strings.Cut(labels, `="`)
	label, _, _ = strings.Cut(quoted, `"`)
	return name, label, value, true
}
