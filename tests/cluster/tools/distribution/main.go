// Command distribution is the registry of CNCF's Distribution 2.8, as a library, with the two things that Harbor's own
// build adds and its configuration uses: a user name and TLS towards Redis. It reads what `registry serve FILE` reads.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/docker/distribution/configuration"
	distribution "github.com/docker/distribution/context"
	"github.com/docker/distribution/health"
	_ "github.com/docker/distribution/registry/auth/htpasswd"
	"github.com/docker/distribution/registry/handlers"
	_ "github.com/docker/distribution/registry/storage/driver/filesystem"
	_ "github.com/docker/distribution/registry/storage/driver/s3-aws"
	_ "github.com/docker/distribution/registry/storage/driver/swift"
	"github.com/docker/go-metrics"
	"github.com/sirupsen/logrus"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "serve" {
		fmt.Fprintln(os.Stderr, "usage: serve FILE")
		os.Exit(2)
	}
	if err := serve(os.Args[2]); err != nil {
		logrus.Error(err)
		os.Exit(1)
	}
}

func serve(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	config, err := configuration.Parse(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	level, err := logrus.ParseLevel(string(config.Log.Level))
	if err != nil {
		return fmt.Errorf("%s: log level: %w", path, err)
	}
	logrus.SetLevel(level)
	// NewApp opens the storage and panics when it can't.
	if err := relayRedis(path, config); err != nil {
		return fmt.Errorf("%s: redis: %w", path, err)
	}
	app := handlers.NewApp(distribution.Background(), config)
	app.RegisterHealthChecks()
	handler := http.NewServeMux()
	handler.HandleFunc("/{$}", func(http.ResponseWriter, *http.Request) {})
	handler.Handle("/", app)
	listener, err := listen(config)
	if err != nil {
		return err
	}
	debug(config)
	server := &http.Server{Handler: health.Handler(handler)}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	logrus.Infof("listening on %s", listener.Addr())
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-stopped:
		return err
	case <-asked:
		ctx, cancel := context.WithTimeout(context.Background(), config.HTTP.DrainTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
}

func listen(config *configuration.Configuration) (net.Listener, error) {
	listener, err := net.Listen("tcp", config.HTTP.Addr)
	if err != nil || config.HTTP.TLS.Certificate == "" {
		return listener, err
	}
	pair, err := tls.LoadX509KeyPair(config.HTTP.TLS.Certificate, config.HTTP.TLS.Key)
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	for _, authority := range config.HTTP.TLS.ClientCAs {
		text, err := os.ReadFile(authority)
		if err != nil {
			return nil, err
		}
		if settings.ClientCAs == nil {
			settings.ClientCAs = x509.NewCertPool()
			settings.ClientAuth = tls.RequireAndVerifyClientCert
		}
		if !settings.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", authority)
		}
	}
	return tls.NewListener(listener, settings), nil
}

// Health checks by driver and, when asked, metrics.
func debug(config *configuration.Configuration) {
	if config.HTTP.Debug.Addr == "" {
		return
	}
	if config.HTTP.Debug.Prometheus.Enabled {
		path := config.HTTP.Debug.Prometheus.Path
		if path == "" {
			path = "/metrics"
		}
		http.Handle(path, metrics.Handler())
	}
	go func() {
		server := &http.Server{Addr: config.HTTP.Debug.Addr, ReadHeaderTimeout: 10 * time.Second}
		logrus.Fatalf("the debug listener ended: %v", server.ListenAndServe())
	}()
}
