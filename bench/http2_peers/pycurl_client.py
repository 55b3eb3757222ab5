"""libcurl's multi interface by pycurl: handles are kept and used again."""

import pycurl  # type: ignore[import-untyped] # it ships no types

from http2_peers.target import BODY, PATH, SHARED, Target


class PycurlClient:
    """Blocks its thread, as libcurl does."""

    async def open(self, target: Target) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, target.connections)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, target.connections)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, target.streams)
        self._shared = [f"{name}: {value}" for name, value in SHARED.items()]
        self._free = [self._handle(target) for _ in range(target.at_once)]

    async def send(self, ids: list[str]) -> int:
        waiting, under_way, well = list(ids), 0, 0
        while waiting or under_way:
            while waiting and self._free:
                handle = self._free.pop()
                handle.setopt(pycurl.HTTPHEADER, [*self._shared, f"apns-id: {waiting.pop()}"])
                self._multi.add_handle(handle)
                under_way += 1
            self._multi.perform()
            _, done, failed = self._multi.info_read()
            for handle in [*done, *(each[0] for each in failed)]:
                well += handle.getinfo(pycurl.RESPONSE_CODE) == 200
                self._multi.remove_handle(handle)
                self._free.append(handle)
                under_way -= 1
            if under_way and not done:
                self._multi.select(1.0)
        return well

    async def close(self) -> None:
        self._multi.close()

    def _handle(self, target: Target) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, target.origin + PATH)
        handle.setopt(pycurl.CAINFO, target.authority)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDS, BODY)
        handle.setopt(pycurl.WRITEFUNCTION, len)
        return handle
