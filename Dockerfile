# Adit in a container.
#
#   docker build -t adit .
#   docker run --name adit -p 3333:3333 -v ./adit.toml:/etc/adit/adit.toml:ro -v adit-state:/var/lib/adit adit
#
# In the configuration, `listen` has to be an address that reaches out of the container: "0.0.0.0:3333". Its health is asked for
# on the `[http]` port within the container; publish that port only to networks that you trust.

FROM rust:1.89-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p adit && strip -o /adit target/release/adit

FROM debian:bookworm-slim
RUN groupadd --system --gid 990 adit && useradd --system --uid 990 --gid adit --home-dir /var/lib/adit --shell /usr/sbin/nologin adit
RUN install -d -o root -g adit -m 0750 /etc/adit && install -d -o adit -g adit -m 0700 /var/lib/adit
COPY --from=build /adit /usr/bin/adit
COPY config/debian/adit.toml /etc/adit/adit.toml
USER adit
ENV STATE_DIRECTORY=/var/lib/adit
VOLUME /var/lib/adit
EXPOSE 3333
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["adit", "health", "--config", "/etc/adit/adit.toml"]
ENTRYPOINT ["adit"]
CMD ["run", "--config", "/etc/adit/adit.toml"]
