/* Stands between the program and shell32.dll. Wine's Shell_NotifyIconGetRect does nothing but fail, and tray-icon tells
   of no click whose icon it can't place. The icon is where the mouse is, or nobody would have clicked it. */
#include <windows.h>
#include <shellapi.h>

HRESULT WINAPI Shell_NotifyIconGetRect(const NOTIFYICONIDENTIFIER *icon, RECT *place) {
    POINT mouse;
    GetCursorPos(&mouse);
    SetRect(place, mouse.x - 8, mouse.y - 8, mouse.x + 8, mouse.y + 8);
    return S_OK;
}
