# `chest-xray serve` with the network in the package. See docs/serving.md.
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /build
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
# The versions of the lock. Its hashes cover more packages than are installed here, so pip cannot check them.
RUN python -m venv /opt/chest-xray \
    && sed -e 's/ \\$//' -e '/--hash=/d' requirements.lock > constraints.txt \
    && pip wheel --no-cache-dir --no-deps --wheel-dir dist . \
    && /opt/chest-xray/bin/pip install --no-cache-dir --constraint constraints.txt "$(echo dist/*.whl)[serve]"

FROM python:3.11.11-slim-bookworm
COPY --from=build /opt/chest-xray /opt/chest-xray
ENV PATH=/opt/chest-xray/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["chest-xray"]
CMD ["serve", "--host=0.0.0.0", "--port=8000"]
